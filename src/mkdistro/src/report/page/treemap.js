// The treemap: tiles as SVG, zoomed by click or keys, and the same as a table.
const Treemap = (() => {
  const { el, svg } = Dom;
  const HEAD = 18;
  // Width of a letter, about.
  const LETTER = 6.3;
  const BOLD = 7;

  const KINDS = [
    ["program", "Programs"],
    ["library", "Libraries"],
    ["module", "Kernel modules"],
    ["config", "Configuration"],
    ["data", "Data"],
    ["boot", "Beside the root"],
  ];

  const fit = (text, width) => {
    const room = Math.floor(width / LETTER);
    if (text.length <= room) return text;
    return room < 4 ? "" : `${text.slice(0, room - 1)}…`;
  };

  const lines = (node, top) => {
    const rows = [node.file?.path ?? node.path ?? node.name];
    const share = Format.percent(node.size, top.size);
    rows.push(node.stored === node.bytes ? `${Format.size(node.size)}, ${share} of all`
      : `${Format.size(node.stored)} in the image, ${Format.size(node.bytes)} unpacked, ${share} of all`);
    if (node.file) rows.push(`${node.file.package} · ${Reason.of(node.file)}`);
    else if (node.children) rows.push(`${Format.many(node.children.length, "entry", "entries")}, click to zoom in`);
    return rows;
  };

  // Draws a node's children into `into`; `level` 0 is what can have the focus.
  const draw = (view, into, node, x, y, width, height, level) => {
    const gap = level === 0 ? 3 : 1;
    Squarify.layout(node.children, x, y, width, height, (child, left, top, wide, high) => {
      const [w, h] = [wide - gap, high - gap];
      // Too small to be seen: the box around it shows.
      if (w < 2 || h < 2) return;
      const tile = svg("g", { class: `tile ${child.children ? "box" : child.kind}` });
      tile.append(svg("rect", { x: left, y: top, width: w, height: h, rx: Math.min(4, w / 4, h / 4) }));
      const size = Format.size(child.size);
      if (child.children) {
        const head = w > 40 && h > HEAD + 14 ? HEAD : 0;
        const pad = w > 16 && h > 16 ? 2 : 0;
        if (head) {
          tile.append(svg("text", { x: left + 6, y: top + 13, class: level === 0 ? "name" : "inner" }, fit(child.name, w - 12)));
          const room = w - 24 - child.name.length * BOLD;
          if (level === 0 && room > size.length * LETTER) {
            tile.append(svg("text", { x: left + w - 6, y: top + 13, class: "size" }, size));
          }
        }
        if (w > 5 && h > 5) draw(view, tile, child, left + pad, top + head + (head ? 0 : pad), w - 2 * pad + 1, h - head - (head ? pad : 2 * pad) + 1, level + 1);
      } else if (h > 16 && w > 34) {
        tile.append(svg("text", { x: left + 6, y: top + 14 }, fit(child.name, w - 10)));
        if (h > 34 && w > size.length * LETTER + 10) tile.append(svg("text", { x: left + 6, y: top + 29, class: "size" }, size));
      }
      view.tiles += 1;
      if (level === 0) {
        tile.setAttribute("role", "button");
        tile.setAttribute("aria-label", `${child.name}, ${size}`);
        tile.setAttribute("tabindex", view.first ? "-1" : "0");
        view.first ??= tile;
        view.boxes.set(tile, { node: child, x: left, y: top, w, h });
      }
      Tip.on(tile, () => lines(child, view.top));
      tile.addEventListener("click", (event) => {
        event.stopPropagation();
        view.open(child, { x: left, y: top, w, h });
      });
      into.append(tile);
    });
  };

  const keys = (view, event) => {
    const tiles = [...view.boxes.keys()];
    const at = tiles.indexOf(event.target.closest(".tile"));
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && at >= 0) {
      const next = tiles[(at + step + tiles.length) % tiles.length];
      tiles[at].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      const box = view.boxes.get(tiles[at]);
      view.open(box.node, box);
      view.first?.focus();
    } else if ((event.key === "Escape" || event.key === "Backspace") && view.node.parent) {
      view.show(view.node.parent);
      view.first?.focus();
    } else return;
    event.preventDefault();
  };

  const crumbs = (view) => {
    const chain = [];
    for (let node = view.node; node; node = node.parent) chain.unshift(node);
    return chain.map((node, at) => el("li", {}, at === chain.length - 1
      ? el("span", { "aria-current": "true" }, `${node.name} `, el("span", { class: "dim" }, Format.size(node.size)))
      : el("button", { type: "button", onclick: () => view.show(node) }, node.name)));
  };

  const table = (view) => {
    const row = (node) => el("tr", {},
      el("td", {}, node.children ? el("button", { type: "button", class: "link", onclick: () => view.show(node) }, node.name) : node.name),
      el("td", { class: "number" }, Format.size(node.stored)),
      el("td", { class: "number" }, Format.size(node.bytes)),
      el("td", { class: "number" }, Format.percent(node.size, view.top.size)));
    return el("table", {},
      el("thead", {}, el("tr", {}, ["Name", "In the image", "Unpacked", "Share"].map((text, at) =>
        el("th", { scope: "col", class: at ? "number" : null }, text)))),
      el("tbody", {}, view.node.children.slice(0, 500).map(row)));
  };

  const legend = () => el("ul", { class: "legend" }, KINDS.map(([kind, text]) =>
    el("li", {}, el("i", { class: `swatch ${kind}` }), text)));

  return { KINDS, draw, keys, crumbs, table, legend };
})();
