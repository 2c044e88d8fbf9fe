/* Show the titles of a chart's points beside the pointer, at once and on a tap as well. */
function addTips(charts) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  const hide = () => { tip.hidden = true; };
  const show = (event) => {
    tip.hidden = !event.target.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = event.target.dataset.tip;
    const place = event.target.getBoundingClientRect();
    const left = place.left + (place.width - tip.offsetWidth) / 2;
    const last = document.documentElement.clientWidth - tip.offsetWidth - 4;
    const above = place.top - tip.offsetHeight - 4;
    tip.style.left = Math.max(4, Math.min(left, last)) + "px";
    tip.style.top = (above > 4 ? above : place.bottom + 4) + "px";
  };
  for (const points of charts) {
    for (const title of points.querySelectorAll("title")) {
      title.parentNode.dataset.tip = title.textContent;
      title.remove();
    }
    points.addEventListener("pointerover", show);
    points.addEventListener("pointerout", hide);
  }
  addEventListener("scroll", hide, { passive: true });
  hide();
  document.body.append(tip);
}

addTips(document.querySelectorAll(".tips"));
