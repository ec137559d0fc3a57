// Squarified treemap layout (Bruls, Huizing and van Wijk, 2000): rows along the shorter side, each as long as adding a
// tile makes its tiles squarer.
const Squarify = (() => {
  // Worst aspect of a row of areas from `least` to `most` summing to `sum` along a side.
  const worst = (sum, least, most, side) =>
    Math.max((side * side * most) / (sum * sum), (sum * sum) / (side * side * least));

  // `nodes` sorted by size, largest first. Calls `place(node, x, y, width, height)` for each that is larger than nothing.
  const layout = (nodes, x, y, width, height, place) => {
    const list = nodes.filter((node) => node.size > 0);
    const total = list.reduce((sum, node) => sum + node.size, 0);
    const scale = (width * height) / total;
    let from = 0;
    while (from < list.length && width > 0 && height > 0) {
      const side = Math.min(width, height);
      const most = list[from].size * scale;
      let sum = most;
      let to = from + 1;
      for (; to < list.length; to += 1) {
        const area = list[to].size * scale;
        if (worst(sum + area, area, most, side) > worst(sum, list[to - 1].size * scale, most, side)) break;
        sum += area;
      }
      const thick = sum / side;
      let along = 0;
      for (const node of list.slice(from, to)) {
        const long = (node.size * scale) / thick;
        if (width >= height) place(node, x, y + along, thick, long);
        else place(node, x + along, y, long, thick);
        along += long;
      }
      if (width >= height) [x, width] = [x + thick, width - thick];
      else [y, height] = [y + thick, height - thick];
      from = to;
    }
  };

  return { layout };
})();
