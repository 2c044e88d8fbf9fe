/* Make the heads of a table buttons that sort it by their column. */
function addSorting(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.order;
      const order = head.classList.contains("number")
        ? (a, b) => Number(key(a)) - Number(key(b))
        : (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
      body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
    });
  });
}

/* Put a field before a table's box that shows only the rows with all its words. */
function addFilter(table) {
  const { things, hint } = table.dataset;
  const rows = [...table.tBodies[0].rows];
  const filter = document.createElement("div");
  filter.className = "filter";
  const label = document.createElement("label");
  const field = document.createElement("input");
  const count = document.createElement("span");
  const note = document.createElement("span");
  label.textContent = "Filter";
  label.htmlFor = field.id = table.id + "-filter";
  note.id = table.id + "-hint";
  note.className = "quiet";
  note.textContent = hint;
  Object.assign(field, { type: "search", autocomplete: "off" });
  field.setAttribute("aria-describedby", note.id);
  count.id = table.id + "-count";
  count.setAttribute("role", "status");
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const left = rows.filter((row) => !row.hidden).length;
    count.textContent = left + " of " + rows.length + " " + things;
  };
  field.addEventListener("input", show);
  show();
  filter.append(label, field, count, note);
  table.closest(".scroll").before(filter);
}

/* Say beside a box that it has more on the right, as long as it has. */
function addCue(box) {
  const cue = document.createElement("p");
  cue.className = "cue";
  cue.textContent = "scroll →";
  cue.setAttribute("aria-hidden", "true");
  box.before(cue);
  const show = () => {
    const beyond = box.scrollWidth - box.clientWidth;
    cue.hidden = beyond <= 1;
    box.classList.toggle("more", box.scrollLeft < beyond - 1);
    cue.classList.toggle("done", !box.classList.contains("more"));
  };
  box.addEventListener("scroll", show, { passive: true });
  new ResizeObserver(show).observe(box);
  show();
}

document.querySelectorAll("table.sortable").forEach(addSorting);
document.querySelectorAll("table[data-things]").forEach(addFilter);
document.querySelectorAll(".scroll").forEach(addCue);
