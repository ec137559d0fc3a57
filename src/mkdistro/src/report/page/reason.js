// Why a file is in the image, in words.
const Reason = (() => {
  const of = (file) => {
    switch (file.because) {
      case "recipe": return `recipe ${file.by}`;
      case "library": return file.by.startsWith("/") ? `needed by ${file.by}` : `named in ${file.by}`;
      case "module": return `kernel module for ${file.by}`;
      case "builder": return "every root has it";
      case "overlay": return "overlay";
      case "image": return file.by ? `container image ${file.by}` : "container images";
      default: return "unknown";
    }
  };
  return { of };
})();
