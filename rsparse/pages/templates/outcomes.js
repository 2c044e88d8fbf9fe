/* Put buttons before a gallery that show only its pictures of one outcome. */
function addOutcomes(gallery) {
  const items = [...gallery.querySelectorAll("[data-outcome]")];
  const counts = new Map();
  for (const { dataset } of items) {
    counts.set(dataset.outcome, (counts.get(dataset.outcome) || 0) + 1);
  }
  if (counts.size < 2) return;
  const bar = document.createElement("div");
  bar.className = "outcomes";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", gallery.dataset.outcomes);
  const add = (text, number, wanted) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text + " (" + number + ")";
    button.setAttribute("aria-pressed", String(wanted === null));
    button.addEventListener("click", () => {
      for (const other of bar.children) other.setAttribute("aria-pressed", String(other === button));
      for (const item of items) item.hidden = wanted !== null && item.dataset.outcome !== wanted;
      for (const part of gallery.querySelectorAll("[data-part]")) {
        part.hidden = !part.querySelector("[data-outcome]:not([hidden])");
      }
    });
    bar.append(button);
  };
  add("all", items.length, null);
  for (const [outcome, number] of counts) add(outcome, number, outcome);
  gallery.prepend(bar);
}

document.querySelectorAll("[data-outcomes]").forEach(addOutcomes);
