// The enlarged image: wheel, pinch, keys and buttons zoom, dragging moves it, and its boxes stay on it.
import { drawBoxes, el, picture } from "/draw.js";

const $ = (id) => document.getElementById(id);
const MAX_SCALE = 40; // screen pixels per pixel of the image

/** The dialog; `step` goes to another row and opens it here. */
export function makeZoom(step) {
  const [dialog, stage] = [$("zoom"), $("zoom-stage")];
  const pointers = new Map();
  let [image, layer, view, fitted] = [null, null, { x: 0, y: 0, scale: 1 }, 1];

  function paint() {
    layer.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    layer.style.setProperty("--scale", view.scale); // lines stay as thin as they are
    layer.classList.toggle("coarse", view.scale > 3);
    $("zoom-scale").textContent = `${Math.round(view.scale * 100)} %`;
  }

  /** Zoom by a factor so that the point of the stage stays where it is. */
  function zoom(by, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const scale = Math.min(MAX_SCALE, Math.max(fitted / 2, view.scale * by));
    const factor = scale / view.scale;
    view = { scale, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor };
    paint();
  }

  function fit() {
    const [width, height] = [image.naturalWidth || 1, image.naturalHeight || 1];
    fitted = Math.min(stage.clientWidth / width, stage.clientHeight / height);
    view = { scale: fitted, x: (stage.clientWidth - width * fitted) / 2, y: (stage.clientHeight - height * fitted) / 2 };
    paint();
  }

  function move(dx, dy) {
    view = { ...view, x: view.x + dx, y: view.y + dy };
    paint();
  }

  function show(row, setting) {
    image = picture(row, { ...setting, small: false });
    layer = el("div", { id: "zoom-layer" }, image, drawBoxes(row));
    stage.replaceChildren(layer);
    $("zoom-name").textContent = row.sample_id;
    image.addEventListener("load", fit);
    if (!dialog.open) dialog.showModal();
    stage.focus();
  }

  const middle = () => {
    const [a, b] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  stage.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last || !layer) return;
    const frame = stage.getBoundingClientRect();
    const now = { x: event.clientX - frame.left, y: event.clientY - frame.top };
    if (pointers.size === 2) {
      const before = middle();
      pointers.set(event.pointerId, now);
      const after = middle();
      move(after.x - before.x, after.y - before.y);
      zoom(after.apart / Math.max(1, before.apart), after.x, after.y);
    } else {
      move(now.x - last.x, now.y - last.y);
      pointers.set(event.pointerId, now);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => pointers.delete(event.pointerId));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = stage.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 0.8 : 1.25, event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => (view.scale > fitted * 1.01 ? fit() : zoom(4, event.offsetX, event.offsetY)));
  const keys = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit, 1: () => zoom(1 / view.scale),
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    j: () => step(1), k: () => step(-1), b: () => document.body.classList.toggle("no-boxes"), z: () => dialog.close(),
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });
  $("zoom-in").addEventListener("click", () => zoom(1.5));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  $("zoom-fit").addEventListener("click", fit);
  $("zoom-previous").addEventListener("click", () => step(-1));
  $("zoom-next").addEventListener("click", () => step(1));
  $("zoom-close").addEventListener("click", () => dialog.close());
  new ResizeObserver(() => image?.naturalWidth && fit()).observe(stage);

  return { show, get isOpen() { return dialog.open; } };
}
