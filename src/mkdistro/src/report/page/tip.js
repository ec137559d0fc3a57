// One tooltip for all charts: follows the pointer, or stands at what has the focus.
const Tip = (() => {
  const { el, id } = Dom;

  const place = (x, y) => {
    const tip = id("tip");
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(x + 14, innerWidth - width - 8);
    const top = y + 18 + height > innerHeight ? y - height - 12 : y + 18;
    tip.style.setProperty("left", `${Math.max(8, left)}px`);
    tip.style.setProperty("top", `${Math.max(8, top)}px`);
  };

  const show = (lines, x, y) => {
    const [title, ...rest] = lines;
    id("tip").replaceChildren(el("strong", {}, title), ...rest.map((line) => el("span", {}, line)));
    id("tip").hidden = false;
    place(x, y);
  };

  const hide = () => {
    id("tip").hidden = true;
  };

  // `lines` is called when it is shown.
  const on = (element, lines) => {
    element.addEventListener("pointermove", (event) => {
      event.stopPropagation();
      if (event.pointerType === "mouse") show(lines(), event.clientX, event.clientY);
    });
    element.addEventListener("pointerleave", hide);
    element.addEventListener("focus", () => {
      if (!element.matches(":focus-visible")) return;
      const box = element.getBoundingClientRect();
      show(lines(), box.left + Math.min(box.width / 2, 80), box.top + Math.min(box.height, 40));
    });
    element.addEventListener("blur", hide);
    return element;
  };

  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", hide, { passive: true, capture: true });
  return { on, hide };
})();
