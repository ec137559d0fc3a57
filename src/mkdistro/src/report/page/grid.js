// A table with sorting that holds only the rows in sight, however many there are.
const Grid = (() => {
  const { el } = Dom;
  const ROW = 36;
  const MARGIN = 12;

  // `columns`: { key, text, value(row), show?(row), number?, wide? (not on a phone) }.
  const make = (caption, columns, rows, open) => {
    const grid = { rows, shown: rows, sort: columns[0].key, down: false, all: false };
    const body = el("tbody", {});
    const heads = columns.map((column) => {
      const button = el("button", { type: "button", onclick: () => sort(column) }, column.text);
      return el("th", { scope: "col", class: classes(column) }, button);
    });
    const table = el("table", { "aria-rowcount": String(rows.length) },
      el("caption", { class: "hidden" }, caption), el("thead", {}, el("tr", {}, heads)), body);
    const scroller = el("div", { class: "grid", tabindex: "0", role: "region", "aria-label": caption }, table);

    function classes(column) {
      return [column.number ? "number" : "", column.wide ? "wide" : "", column.grow ? "grow" : ""].join(" ").trim();
    }

    const spacer = (count) => el("tr", { class: "spacer", "aria-hidden": "true", style: { height: `${count * ROW}px` } });

    const line = (row, index) => el("tr", { "aria-rowindex": String(index + 2), onclick: () => open(row) },
      columns.map((column, at) => {
        const text = (column.show ?? column.value)(row);
        const cell = at === 0 ? el("button", { type: "button", class: "link", onclick: (event) => { event.stopPropagation(); open(row); } }, text) : text;
        return el("td", { class: classes(column), title: column.grow ? column.value(row) : null }, cell);
      }));

    const paint = () => {
      const count = grid.shown.length;
      const height = scroller.clientHeight || 600;
      const first = grid.all ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - MARGIN);
      const last = grid.all ? count : Math.min(count, first + Math.ceil(height / ROW) + 2 * MARGIN);
      const lines = grid.shown.slice(first, last).map((row, at) => line(row, first + at));
      body.replaceChildren(...(first > 0 ? [spacer(first)] : []), ...lines, ...(last < count ? [spacer(count - last)] : []));
      if (!count) body.append(el("tr", { class: "none" }, el("td", { colspan: String(columns.length) }, "Nothing fits the search.")));
    };

    const order = () => {
      const column = columns.find(({ key }) => key === grid.sort);
      const sign = grid.down ? -1 : 1;
      const compare = column.number ? (a, b) => a - b : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      grid.shown.sort((a, b) => sign * compare(column.value(a), column.value(b)));
      heads.forEach((head, at) => {
        if (columns[at] === column) head.setAttribute("aria-sort", grid.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    };

    const sort = (column) => {
      grid.down = grid.sort === column.key ? !grid.down : Boolean(column.number);
      grid.sort = column.key;
      order();
      scroller.scrollTop = 0;
      paint();
    };

    // Keeps the rows for which `keep` is true.
    const filter = (keep) => {
      grid.shown = grid.rows.filter(keep);
      table.setAttribute("aria-rowcount", String(grid.shown.length));
      order();
      scroller.scrollTop = 0;
      paint();
    };

    let waiting = false;
    scroller.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        paint();
      });
    }, { passive: true });
    new ResizeObserver(paint).observe(scroller);
    const whole = (all) => () => {
      grid.all = all && grid.shown.length <= 2000;
      paint();
    };
    addEventListener("beforeprint", whole(true));
    addEventListener("afterprint", whole(false));

    return { element: scroller, filter, sortBy: (key, down) => { grid.sort = key; grid.down = down; order(); paint(); }, count: () => grid.shown.length, paint };
  };

  return { make };
})();
