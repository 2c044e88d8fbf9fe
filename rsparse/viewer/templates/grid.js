/* A list of cards of which only those near the window are in the document. */
class Grid {
  static SPARE = 2; // rows above and below the window
  static TALLEST = 8_000_000; // pixels; browsers do not lay out much taller elements

  /* fill(place, card) fills the card of a place; open(place) is called when it is chosen. */
  constructor(list, fill, open) {
    Object.assign(this, { list, fill, open, total: 0, active: 0, cards: new Map() });
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(list);
    list.addEventListener("keydown", (event) => this.press(event));
    list.addEventListener("focusin", (event) => {
      const card = event.target.closest("li");
      if (card) this.active = card.place;
    });
  }

  /* Show another list, of cards of at least this width in pixels; height(width) is that of a card
     of a width. */
  reset(total, width, heightOf) {
    const active = Math.min(this.active, Math.max(total - 1, 0));
    Object.assign(this, { total, width, heightOf, active });
    for (const card of this.cards.values()) this.drop(card);
    this.cards.clear();
    this.measure();
  }

  measure() {
    if (!this.width) return;
    const space = this.list.clientWidth;
    this.columns = Math.max(1, Math.floor(space / this.width));
    this.step = space / this.columns;
    this.height = this.heightOf(this.step);
    this.rows = Math.ceil(this.total / this.columns);
    this.list.style.height = Math.min(this.rows * this.height, Grid.TALLEST) + "px";
    this.draw(true);
  }

  get scrolled() {
    return Math.max(0, -this.list.getBoundingClientRect().top);
  }

  /* A list that would be taller than TALLEST has its rows pass faster than one scrolls. */
  get drifts() {
    return this.rows * this.height > Grid.TALLEST;
  }

  /* The first row in the window, perhaps with a fraction. */
  get first() {
    if (!this.drifts) return this.scrolled / this.height;
    const most = Grid.TALLEST - innerHeight;
    return (Math.min(this.scrolled, most) / most) * (this.rows - innerHeight / this.height);
  }

  draw(moved = false) {
    if (!this.width) return;
    const { first, scrolled, drifts } = this;
    const from = Math.max(0, Math.floor(first) - Grid.SPARE) * this.columns;
    const shown = (Math.ceil(innerHeight / this.height) + 2 * Grid.SPARE + 1) * this.columns;
    const to = Math.min(this.total, from + shown);
    const focused = document.activeElement?.closest("#grid li");
    for (const [place, card] of this.cards) {
      if ((place < from || place >= to) && card !== focused) {
        this.drop(card);
        this.cards.delete(place);
      }
    }
    for (let place = from; place < to; place++) this.card(place);
    for (const [place, card] of this.cards) {
      if (!moved && !drifts && card.style.transform) continue;
      const row = Math.floor(place / this.columns);
      const top = drifts ? scrolled + (row - first) * this.height : row * this.height;
      card.style.transform = `translate(${(place % this.columns) * this.step}px, ${top}px)`;
      card.style.width = this.step + "px";
      card.style.height = this.height + "px";
    }
    const isSlow = Math.abs(first - (this.last ?? first)) < 1;
    this.last = first;
    this.settle(from, to, isSlow);
  }

  /* Fill the cards from one place to another: at once if scrolling is slow, else when it rests
     for a moment, so that what only flies past is not asked for. */
  settle(from, to, isSlow) {
    clearTimeout(this.timer);
    const fill = () => {
      for (const [place, card] of this.cards) {
        if (!card.filled && place >= from && place < to) {
          card.filled = true;
          this.fill(place, card);
        }
      }
      this.mark();
    };
    if (isSlow) fill();
    else this.timer = setTimeout(fill, 70);
  }

  card(place) {
    if (this.cards.has(place)) return this.cards.get(place);
    const card = document.createElement("li");
    card.place = place;
    card.setAttribute("aria-posinset", place + 1);
    card.setAttribute("aria-setsize", this.total);
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    button.setAttribute("aria-label", `image ${place + 1}`);
    button.addEventListener("click", () => this.open(card.place));
    card.append(button);
    this.cards.set(place, card);
    this.list.append(card);
    return card;
  }

  /* Remove a card; its pictures are no longer waited for. */
  drop(card) {
    for (const picture of card.querySelectorAll("img")) picture.src = "data:,";
    card.remove();
  }

  /* Only one card can be reached with Tab: the active one, or the first in the window. */
  mark() {
    const top = Math.ceil(this.first) * this.columns;
    const reached = this.cards.has(this.active) ? this.active : Math.min(top, this.total - 1);
    for (const [place, card] of this.cards) card.firstChild.tabIndex = place === reached ? 0 : -1;
  }

  press(event) {
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 1) * this.columns;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -this.total, End: this.total,
    };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.focus(this.active + steps[event.key]);
  }

  /* Move to a card, which is scrolled into the window. */
  focus(place) {
    if (!this.total) return;
    this.active = Math.max(0, Math.min(place, this.total - 1));
    const row = Math.floor(this.active / this.columns);
    const visible = innerHeight / this.height;
    const first = this.first;
    if (row < first || row + 1 > first + visible) {
      this.scrollTo(row < first ? row : row + 1.1 - visible);
    }
    this.draw();
    this.card(this.active).firstChild.focus({ preventScroll: true });
    this.mark();
  }

  scrollTo(row) {
    const above = this.list.getBoundingClientRect().top + scrollY;
    const last = this.rows - innerHeight / this.height;
    const most = Grid.TALLEST - innerHeight;
    const top = this.drifts ? (Math.max(row, 0) / last) * most : row * this.height;
    scrollTo({ top: above + top, behavior: "instant" });
  }
}
