// Starts the page. What became of it stands in attributes of the document's root: tests read them, and so can you.
const Main = (() => {
  const { el, id } = Dom;
  const root = document.documentElement;
  const NAV = [
    ["overview", "Overview"], ["space", "Space"], ["recipes", "Recipes"], ["kernel", "Kernel"],
    ["build", "Build"], ["boot", "Boot"], ["changes", "Changes"], ["contents", "Contents"],
  ];

  const failed = (message) => {
    root.dataset.errors = `${root.dataset.errors ?? ""}${message}\n`;
  };
  addEventListener("error", (event) => failed(event.message));
  addEventListener("unhandledrejection", (event) => failed(String(event.reason)));
  document.addEventListener("securitypolicyviolation", (event) => failed(`policy: ${event.violatedDirective} ${event.blockedURI}`));

  // Links within the page move there without touching the address, which holds the view.
  const links = () => {
    document.addEventListener("click", (event) => {
      const name = event.target.closest("a[data-section]")?.dataset.section;
      if (!name) return;
      event.preventDefault();
      id(name).scrollIntoView();
      id(name).querySelector("h2")?.focus({ preventScroll: true });
    });
  };

  const navigation = () => {
    id("nav").append(...NAV.filter(([name]) => !id(name).hidden).map(([name, text]) =>
      el("a", { href: `#${name}`, "data-section": name }, text)));
    for (const title of document.querySelectorAll("main h2")) title.tabIndex = -1;
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        for (const link of id("nav").children) {
          if (link.dataset.section === entry.target.id) link.setAttribute("aria-current", "true");
          else link.removeAttribute("aria-current");
        }
      }
    }, { rootMargin: "-20% 0px -70% 0px" });
    for (const section of document.querySelectorAll("main section")) seen.observe(section);
  };

  const start = () => {
    const data = JSON.parse(id("data").textContent);
    data.unpacked = data.files.reduce((sum, file) => sum + file.bytes, 0);
    Theme.start();
    Details.start();
    Overview.render(data);
    Space.render(data);
    Costs.recipes(data);
    Costs.kernel(data);
    Timeline.build(data);
    Timeline.boot(data);
    Changes.render(data);
    Contents.render(data);
    navigation();
    links();
    root.dataset.tiles = Space.tiles();
    root.dataset.rows = Contents.shown();
    root.dataset.found = Contents.count();
    // What a phone would have to scroll sideways for.
    root.dataset.overflow = Math.max(0, root.scrollWidth - root.clientWidth);
    root.dataset.ready = "true";
  };

  start();
})();
