/* Lay the second picture of a .compare over the first; a slider moves the line between them. */
function addSlider(compare) {
  const { label, left } = compare.dataset;
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, value: 50 });
  slider.setAttribute("aria-label", label);
  const show = () => {
    compare.style.setProperty("--at", slider.value + "%");
    slider.setAttribute("aria-valuetext", slider.value + " % " + left);
  };
  slider.addEventListener("input", show);
  show();
  compare.querySelector(".frame").after(slider);
  compare.classList.add("slides");
}

document.querySelectorAll(".compare").forEach(addSlider);
