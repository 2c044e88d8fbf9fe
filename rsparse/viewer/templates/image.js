/* One image in a dialog, with its neighbours in the list. */
class ImageDialog {
  /* fragment(place) is a promise of the HTML of the image at a place of the list, and total()
     the length of the list; closed(place) is called with the last place. */
  constructor(dialog, fragment, total, closed) {
    Object.assign(this, { dialog, fragment, total, place: 0 });
    this.content = dialog.querySelector("#content");
    dialog.querySelector("#close").addEventListener("click", () => dialog.close());
    dialog.querySelector("#previous").addEventListener("click", () => this.show(this.place - 1));
    dialog.querySelector("#next").addEventListener("click", () => this.show(this.place + 1));
    dialog.addEventListener("close", () => closed(this.place));
    dialog.addEventListener("keydown", (event) => this.press(event));
  }

  async show(place) {
    if (place < 0 || place >= this.total()) return;
    this.place = place;
    this.dialog.querySelector("#place").textContent = `${place + 1} of ${this.total()}`;
    this.dialog.querySelector("#previous").disabled = place === 0;
    this.dialog.querySelector("#next").disabled = place === this.total() - 1;
    if (!this.dialog.open) this.dialog.showModal();
    try {
      const html = await this.fragment(place);
      if (place === this.place) this.fill(html); // else another one has been asked for
    } catch (error) {
      this.content.textContent = error.message;
    }
  }

  fill(html) {
    const open = [...this.content.querySelectorAll("details[open] > summary")].map((s) => s.textContent);
    this.content.innerHTML = html; // rendered by the program, with all texts escaped
    for (const details of this.content.querySelectorAll(":scope > details")) {
      details.open = open.includes(details.firstElementChild.textContent);
    }
    const head = this.content.querySelector("h2");
    this.dialog.setAttribute("aria-label", head?.textContent ?? "Image");
    this.content.querySelectorAll(".compare").forEach(addSlider);
    for (const choice of this.content.querySelectorAll("[data-side]")) {
      choice.addEventListener("change", () => this.choose(choice));
    }
    for (const picture of this.content.querySelectorAll(".tiles img")) {
      picture.addEventListener("error", () => this.explain(picture), { once: true });
    }
    this.dialog.scrollTop = 0;
    head?.focus({ preventScroll: true });
  }

  /* Put another picture on a side of the slider. */
  choose(choice) {
    const pictures = this.content.querySelectorAll(".frame img");
    const picture = pictures[choice.dataset.side === "left" ? 0 : 1];
    picture.src = choice.value;
    const name = this.content.querySelector("h2").textContent;
    picture.alt = `${name}, ${choice.selectedOptions[0].text}`;
  }

  /* Say why a picture is not there. */
  async explain(picture) {
    const answer = await fetch(picture.src);
    const reason = document.createElement("p");
    reason.className = "problem";
    reason.textContent = answer.ok ? "cannot be shown" : await answer.text();
    picture.replaceWith(reason);
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, .scroll")) return; // these use the keys themselves
    event.preventDefault();
    this.show(this.place + step);
  }
}
