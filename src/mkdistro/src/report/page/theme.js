// Light or dark: as the system has it, or as chosen with the button or #theme=dark.
const Theme = (() => {
  const NAMES = { "": "Auto", light: "Light", dark: "Dark" };

  const apply = () => {
    const theme = State.get("theme") in NAMES ? State.get("theme") : "";
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    const button = Dom.id("theme");
    button.textContent = NAMES[theme];
    button.setAttribute("aria-label", `Colours: ${NAMES[theme]}`);
  };

  const start = () => {
    const order = Object.keys(NAMES);
    Dom.id("theme").addEventListener("click", () => {
      State.set({ theme: order[(order.indexOf(State.get("theme")) + 1) % order.length] });
      apply();
    });
    // Paper is white.
    addEventListener("beforeprint", () => {
      document.documentElement.dataset.theme = "light";
    });
    addEventListener("afterprint", apply);
    State.onchange(apply);
    apply();
  };

  return { start };
})();
