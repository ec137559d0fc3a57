// The image as a tree: package or recipe → folder → file, and beside the root's files what else the image holds.
const Hierarchy = (() => {
  const OTHERS = { module: "kernel modules", builder: "mkdistro", overlay: "overlay", image: "container images" };

  const leaf = (name, kind, bytes, stored, file) => ({ name, kind, bytes, stored: stored ?? bytes, file, children: null });
  const folder = (name, kind) => ({ name, kind, bytes: 0, stored: 0, file: null, children: new Map() });

  // Where an image does not tell of packages, folders stand for them: /usr/lib.
  const folderOf = (file) => file.path.split("/").slice(0, -1).slice(0, 3).join("/") || "/";

  const groupOf = (file, by) => {
    if (by === "recipe") return file.recipe ?? OTHERS[file.because] ?? "unknown";
    return file.package === "unknown" ? folderOf(file) : file.package;
  };

  const put = (top, file, from) => {
    let node = top;
    const parts = file.path.slice(from).split("/").slice(1);
    for (const part of parts.slice(0, -1)) {
      if (!node.children.has(part)) node.children.set(part, folder(part, "folder"));
      node = node.children.get(part);
    }
    node.children.set(parts.at(-1), leaf(parts.at(-1), file.kind, file.bytes, file.stored, file));
  };

  // Sums, arrays by size; a folder with nothing but one folder in it becomes one with it.
  const finish = (node, parent, measure) => {
    node.parent = parent;
    if (node.children) {
      const children = [...node.children.values()];
      if (node.kind === "folder" && children.length === 1 && children[0].kind === "folder") {
        node.name = `${node.name}/${children[0].name}`;
        node.children = children[0].children;
        return finish(node, parent, measure);
      }
      children.forEach((child) => finish(child, node, measure));
      node.bytes = children.reduce((sum, child) => sum + child.bytes, 0);
      node.stored = children.reduce((sum, child) => sum + child.stored, 0);
      node.children = children.sort((a, b) => b.size - a.size);
    }
    node.size = measure === "bytes" ? node.bytes : node.stored;
    node.path = parent ? `${parent.path}${parent.path ? " › " : ""}${node.name}` : "";
    return node;
  };

  // `measure`: "stored" or "bytes". What stands beside the root is compressed either way.
  const build = (data, by, measure) => {
    const top = folder(data.image?.name ?? data.name, "top");
    // Links and empty files take no room.
    for (const file of data.files.filter((one) => one.bytes > 0)) {
      const name = groupOf(file, by);
      if (!top.children.has(name)) top.children.set(name, folder(name, "group"));
      put(top.children.get(name), file, name.startsWith("/") && name !== "/" ? name.length : 0);
    }
    const image = data.image;
    for (const part of image?.parts ?? []) {
      if (!part.name.startsWith("root")) top.children.set(`\0${part.name}`, leaf(part.name, "boot", part.bytes, part.bytes));
    }
    // Inodes, folders and tables of the root, which no file accounts for.
    const files = data.files.reduce((sum, file) => sum + (file.stored ?? 0), 0);
    if (image && measure === "stored" && image.root_bytes > files) {
      top.children.set("\0tables", leaf("file system tables", "boot", 0, image.root_bytes - files));
    }
    return finish(top, null, measure);
  };

  const find = (top, path) => {
    let node = top;
    for (const name of path ? path.split(" › ") : []) {
      const next = node.children?.find((child) => child.name === name);
      if (!next?.children) break;
      node = next;
    }
    return node;
  };

  return { build, find };
})();
