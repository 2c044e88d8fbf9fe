/* The page: what is asked for, and the answers. */
const PIECE = 100; // images in an answer
const ROOM = 1_000; // pieces that are kept
const [SMALL, LARGE, BETWEEN, AROUND, BELOW, LINE] = [90, 160, 6, 28, 62, 17]; // pixels of a card

const byId = (id) => document.getElementById(id);
const choices = [...document.querySelectorAll(".choice")];
const state = { kept: "", words: "", total: 0, all: 0, versions: [], hidden: new Set(), pieces: new Map() };

const scene = () => choices.map((choice) => `chosen=${choice.value}&`).join("");
const question = () =>
  `${scene()}kept=${encodeURIComponent(state.kept)}&words=${encodeURIComponent(state.words)}&`;

async function answer(address) {
  const response = await fetch(address).catch(() => {
    throw new Error("The program has ended; start rsparse view again.");
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

/* The images of a piece of the list, which is asked for once. */
function piece(number) {
  const { pieces } = state;
  if (!pieces.has(number)) {
    if (pieces.size >= ROOM) pieces.delete(pieces.keys().next().value);
    const from = number * PIECE;
    const asked = answer(`items?${question()}start=${from}&end=${from + PIECE}`).then((r) => r.json());
    asked.catch(() => pieces.delete(number));
    pieces.set(number, asked);
  }
  return pieces.get(number);
}

async function itemAt(place) {
  const { items } = await piece(Math.floor(place / PIECE));
  if (!(place % PIECE in items)) throw new Error("The list has changed.");
  return items[place % PIECE];
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/* The versions that the list shows. */
const columns = () =>
  state.versions
    .map((version, number) => ({ ...version, number }))
    .filter(({ slow, title }) => !slow && !state.hidden.has(title));

async function fill(place, card) {
  const { pieces } = state;
  const item = await itemAt(place).catch(() => null);
  if (!item || pieces !== state.pieces || !card.isConnected) return;
  const strip = element("span", "", "strip");
  for (const version of columns()) strip.append(cell(item, version));
  const lines = [];
  const name = element("span", item.name, "name");
  if (item.rejected) name.prepend(element("span", "rejected", "badge"), " ");
  for (const [number, { slow, title }] of state.versions.entries()) {
    const mark = item.versions[number];
    if (!slow || !mark?.text) continue;
    const line = element("span", title + ": ", "mark quiet");
    line.append(verdict(mark));
    lines.push(line);
  }
  card.firstChild.removeAttribute("aria-label");
  card.firstChild.replaceChildren(strip, ...lines, name);
}

function cell(item, version) {
  const made = element("span", "", "cell");
  const mark = item.versions[version.number];
  if (mark === null) {
    made.append(element("span", "not there", "absent"));
    return made;
  }
  const picture = new Image();
  picture.alt = "";
  picture.addEventListener("error", () => {
    if (picture.isConnected) picture.replaceWith(element("span", "not shown", "absent"));
  });
  picture.src = `thumbnail?${scene()}version=${version.number}&id=${item.id}`;
  made.append(picture, element("span", version.title + ": ", "hidden"), verdict(mark));
  return made;
}

function verdict({ text, right }) {
  const [sign, kind, words] = { true: ["✓ ", "good", ", right"], false: ["✕ ", "bad", ", wrong"] }[right] ?? ["", "quiet", ""];
  const made = element("span", text ? sign + text : "\u00a0", "mark " + kind);
  if (words) made.append(element("span", words, "hidden"));
  return made;
}

const grid = new Grid(byId("grid"), fill, (place) => dialog.show(place));
const dialog = new ImageDialog(
  byId("image"),
  async (place) => (await answer(`image?${scene()}id=${(await itemAt(place)).id}`)).text(),
  () => state.total,
  (place) => grid.focus(place),
);

/* Ask for the list again, after a change of what is to be shown. */
async function list() {
  state.pieces = new Map();
  const { pieces } = state;
  const { total } = await piece(0);
  if (pieces !== state.pieces) return; // asked for again meanwhile
  state.total = total;
  const shown = Math.max(columns().length, 1);
  grid.reset(total, shown * (SMALL + BETWEEN) + AROUND, (width) => {
    const side = Math.min(LARGE, Math.floor((width - AROUND) / shown) - BETWEEN);
    byId("grid").style.setProperty("--side", side + "px");
    return side + BELOW + LINE * state.versions.filter(({ slow }) => slow).length;
  });
  byId("nothing").hidden = total > 0;
  byId("count").textContent = (total === state.all ? "" : `${total} of `) + `${state.all} images`;
}

/* Ask for the scene: its versions and filters. */
async function describe() {
  const { versions, filters, total } = await (await answer(`scene?${scene()}`)).json();
  Object.assign(state, { versions, all: total });
  const options = filters.map(({ key, text, count }) => new Option(`${text} (${count})`, key));
  byId("kept").replaceChildren(new Option("all", ""), ...options);
  byId("kept").value = filters.some(({ key }) => key === state.kept) ? state.kept : "";
  state.kept = byId("kept").value;
  offerColumns();
  await list();
}

/* The boxes that choose the versions in the list, at first the first three. */
function offerColumns() {
  const titles = state.versions.filter(({ slow }) => !slow).map(({ title }) => title);
  const fields = byId("columns");
  if (fields.dataset.titles === titles.join("\n")) return;
  fields.dataset.titles = titles.join("\n");
  state.hidden = new Set(titles.slice(3));
  const boxes = titles.length > 1 ? titles.map(columnBox) : [];
  fields.replaceChildren(fields.firstElementChild, ...boxes);
}

function columnBox(title) {
  const label = element("label");
  const box = element("input");
  box.type = "checkbox";
  box.checked = !state.hidden.has(title);
  box.addEventListener("change", () => {
    state.hidden[box.checked ? "delete" : "add"](title);
    list();
  });
  label.append(box, " ", title);
  return label;
}

addEventListener("unhandledrejection", (event) => {
  byId("count").textContent = event.reason.message;
});

let typing;
byId("words").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    state.words = event.target.value;
    list();
  }, 150);
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("kept").addEventListener("change", (event) => {
  state.kept = event.target.value;
  list();
});
for (const choice of choices) choice.addEventListener("change", describe);
describe();
