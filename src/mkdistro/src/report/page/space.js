// The section with the treemap: what it shows, at which size, in which colours.
const Space = (() => {
  const { el, svg, section, choice } = Dom;
  let view = null;

  const title = (top) => {
    const first = top.children.find((node) => node.children) ?? top.children[0];
    return `${first.name} takes the most room: ${Format.size(first.size)} of ${Format.size(top.size)}`;
  };

  const paint = (from) => {
    const box = view.map.getBoundingClientRect();
    const [width, height] = [Math.round(box.width), Math.round(box.height)];
    if (width < 10 || height < 10) return;
    const group = svg("g", {});
    view.tiles = 0;
    view.first = null;
    view.boxes = new Map();
    Treemap.draw(view, group, view.node, 0, 0, width + 3, height + 3, 0);
    view.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    view.svg.replaceChildren(group);
    if (from && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      const start = `translate(${from.x}px, ${from.y}px) scale(${from.w / width}, ${from.h / height})`;
      group.animate([{ transform: start, opacity: 0.4 }, { transform: "none", opacity: 1 }], { duration: 200, easing: "ease-out" });
    }
  };

  const show = (node, from) => {
    view.node = node;
    Tip.hide();
    State.set({ zoom: node.path });
    view.crumbs.replaceChildren(...Treemap.crumbs(view));
    view.table.replaceChildren(Treemap.table(view));
    paint(from);
  };

  const open = (node, from) => {
    if (node.children) show(node, from);
    else if (node.file) Details.file(node.file);
  };

  // Builds the tree anew when the grouping or the measure changes.
  const build = (data) => {
    view.top = Hierarchy.build(data, State.get("by"), data.image ? State.get("size") : "bytes");
    view.place.querySelector("h2").textContent = title(view.top);
    show(Hierarchy.find(view.top, State.get("zoom")));
  };

  const render = (data) => {
    const place = section("space", "Where the room goes", "",
      "Area is size. A tile is a file; boxes are folders, and around them the package or recipe that brought them.");
    const map = el("div", { class: "map" });
    const drawing = svg("svg", { role: "group", "aria-label": "Treemap of the image. Arrow keys move, Enter zooms in, Escape out." });
    map.append(drawing);
    const crumbs = el("ol", { class: "crumbs", "aria-label": "Zoom" });
    const table = el("div", { class: "scroll" });
    const pick = (name) => (value) => {
      State.set({ [name]: value, zoom: "" });
      build(data);
    };
    view = { place, map, svg: drawing, crumbs, table, show, open };
    place.append(
      el("div", { class: "tools" }, crumbs,
        data.recipes.length ? choice("Group by", "by", [["package", "Package"], ["recipe", "Recipe"]], State.get("by"), pick("by")) : "",
        data.image ? choice("Size", "size", [["stored", "In the image"], ["bytes", "Unpacked"]], State.get("size"), pick("size")) : ""),
      map, Treemap.legend(),
      el("details", { class: "more" }, el("summary", {}, "The same as a table"), table));
    drawing.addEventListener("keydown", (event) => Treemap.keys(view, event));
    build(data);
    new ResizeObserver(() => paint()).observe(map);
    State.onchange(() => build(data));
  };

  return { render, tiles: () => view?.tiles ?? 0 };
})();
