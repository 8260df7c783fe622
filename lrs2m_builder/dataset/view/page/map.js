// The map: land, a grid of degrees, a point per row, and a rectangle that filters the list. Nothing comes from outside.

const $ = (id) => document.getElementById(id);
const GRID = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
const [MIN_SPAN, MAX_SPAN] = [0.01, 900]; // degrees over the width of the map, which may be much wider than high
const MANY = 5000; // points
const CLICK = 8; // pixels around a click that count as its rectangle

/** A map on the page's canvas; `choose` is told the rectangle, "west,south,east,north" or "". */
export async function makeMap(choose) {
  const canvas = $("map-canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true }); // its pixels are read for many points
  const land = (await (await fetch("/land.json")).json()).map(unpacked);
  let points = new Float32Array(0);
  let view = { lon: 0, lat: 10, span: 360 };
  let box = "";
  let drag = null;
  let waiting = 0;

  const width = () => canvas.clientWidth;
  const height = () => canvas.clientHeight;
  const scale = () => width() / view.span; // pixels per degree
  const x = (lon) => width() / 2 + (lon - view.lon) * scale();
  const y = (lat) => height() / 2 - (lat - view.lat) * scale();
  const lonAt = (px) => view.lon + (px - width() / 2) / scale();
  const latAt = (py) => view.lat - (py - height() / 2) / scale();

  function look(change) {
    view = { ...view, ...change };
    view.span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, view.span));
    view.lat = Math.min(90, Math.max(-90, view.lat));
    view.lon = Math.min(180, Math.max(-180, view.lon));
    draw();
  }

  function zoom(by, px = width() / 2, py = height() / 2) {
    const [lon, lat, span] = [lonAt(px), latAt(py), Math.min(MAX_SPAN, Math.max(MIN_SPAN, view.span * by))];
    const degrees = span / width();
    look({ span, lon: lon - (px - width() / 2) * degrees, lat: lat + (py - height() / 2) * degrees });
  }

  /** Show all points, or the whole world without any. */
  function fit() {
    if (!points.length) return look({ lon: 0, lat: 10, span: 360 });
    let [west, south, east, north] = [180, 90, -180, -90];
    for (let i = 0; i < points.length; i += 2) {
      west = Math.min(west, points[i]); east = Math.max(east, points[i]);
      south = Math.min(south, points[i + 1]); north = Math.max(north, points[i + 1]);
    }
    const span = Math.max(east - west, (north - south) * (width() / height()), 0.05) * 1.15;
    return look({ lon: (west + east) / 2, lat: (south + north) / 2, span });
  }

  const draw = () => { waiting = waiting || requestAnimationFrame(() => { waiting = 0; paint(); }); };

  function paint() {
    const ratio = devicePixelRatio || 1;
    if (!width()) return;
    canvas.width = width() * ratio;
    canvas.height = height() * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    pen.fillStyle = color("--ground");
    pen.fillRect(0, 0, width(), height());
    pen.fillStyle = color("--line");
    pen.strokeStyle = color("--soft");
    pen.lineWidth = 0.6;
    pen.beginPath();
    for (const ring of land) {
      for (let i = 0; i < ring.length; i += 2) (i ? pen.lineTo(x(ring[i]), y(ring[i + 1])) : pen.moveTo(x(ring[0]), y(ring[1])));
      pen.closePath();
    }
    pen.fill("evenodd");
    pen.stroke();
    paintGrid(color);
    paintPoints(color("--accent"));
    paintBox(color);
  }

  function paintGrid(color) {
    const step = GRID.findLast((each) => each * scale() >= 70) ?? 45;
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    pen.strokeStyle = color("--soft");
    pen.fillStyle = color("--soft");
    pen.globalAlpha = 0.3;
    pen.font = "11px system-ui, sans-serif";
    pen.beginPath();
    const labels = [];
    for (let lon = Math.ceil(lonAt(0) / step) * step; lon <= lonAt(width()); lon += step) {
      if (Math.abs(lon) > 180.001) continue;
      pen.moveTo(x(lon), Math.max(0, y(90))); pen.lineTo(x(lon), Math.min(height(), y(-90)));
      labels.push([`${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? "W" : "E"}`, x(lon) + 3, height() - 5]);
    }
    for (let lat = Math.ceil(latAt(height()) / step) * step; lat <= latAt(0); lat += step) {
      if (Math.abs(lat) > 90.001) continue;
      pen.moveTo(Math.max(0, x(-180)), y(lat)); pen.lineTo(Math.min(width(), x(180)), y(lat));
      labels.push([`${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}`, 4, y(lat) - 3]);
    }
    pen.stroke();
    pen.globalAlpha = 1;
    for (const label of labels) pen.fillText(...label);
  }

  function paintPoints(color) {
    if (points.length > 2 * MANY) return paintMany(color);
    pen.fillStyle = color;
    pen.globalAlpha = 0.75;
    for (let i = 0; i < points.length; i += 2) pen.fillRect(x(points[i]) - 2.5, y(points[i + 1]) - 2.5, 5, 5);
    pen.globalAlpha = 1;
    return null;
  }

  /** Points as pixels, which takes a tenth of the time of as many rectangles: each makes four half as different. */
  function paintMany(color) {
    pen.fillStyle = color;
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(pen.fillStyle.slice(at, at + 2), 16));
    const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
    const { data, width: columns, height: lines } = picture;
    const ratio = columns / width();
    const [left, across, top, down] = [x(0) * ratio, scale() * ratio, y(0) * ratio, scale() * ratio];
    for (let i = 0; i < points.length; i += 2) {
      const px = Math.round(left + points[i] * across);
      const py = Math.round(top - points[i + 1] * down);
      if (px < 1 || py < 1 || px >= columns || py >= lines) continue;
      for (const at of [py * columns + px, py * columns + px - 1, (py - 1) * columns + px, (py - 1) * columns + px - 1]) {
        data[4 * at] = (data[4 * at] + red) >> 1;
        data[4 * at + 1] = (data[4 * at + 1] + green) >> 1;
        data[4 * at + 2] = (data[4 * at + 2] + blue) >> 1;
      }
    }
    pen.putImageData(picture, 0, 0);
  }

  function paintBox(color) {
    const sides = drag?.rectangle ?? (box ? box.split(",").map(Number) : null);
    if (!sides) return;
    const [west, south, east, north] = sides;
    pen.strokeStyle = color("--bad");
    pen.lineWidth = 2;
    for (const [from, to] of west <= east ? [[west, east]] : [[west, 180], [-180, east]]) {
      pen.strokeRect(x(from), y(north), x(to) - x(from), y(south) - y(north));
    }
  }

  const limited = (value, limit) => Math.min(limit, Math.max(-limit, value));
  const rectangle = (x0, y0, x1, y1) => [
    limited(lonAt(Math.min(x0, x1)), 180), limited(latAt(Math.max(y0, y1)), 90),
    limited(lonAt(Math.max(x0, x1)), 180), limited(latAt(Math.min(y0, y1)), 90),
  ];

  canvas.addEventListener("pointerdown", (event) => {
    const moves = event.shiftKey || $("map-hand").getAttribute("aria-pressed") === "true";
    drag = { x: event.offsetX, y: event.offsetY, lon: view.lon, lat: view.lat, moves };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.moves) look({ lon: drag.lon - (event.offsetX - drag.x) / scale(), lat: drag.lat + (event.offsetY - drag.y) / scale() });
    else drag.rectangle = rectangle(drag.x, drag.y, event.offsetX, event.offsetY);
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { x: x0, y: y0, moves } = drag;
    const isClick = Math.abs(event.offsetX - x0) < 4 && Math.abs(event.offsetY - y0) < 4;
    const sides = isClick ? rectangle(x0 - CLICK, y0 - CLICK, x0 + CLICK, y0 + CLICK) : drag.rectangle;
    drag = null;
    if (!moves && sides) choose(sides.map((side) => side.toFixed(4)).join(","));
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : 0.8, event.offsetX, event.offsetY); }, { passive: false });
  $("map-in").addEventListener("click", () => zoom(0.5));
  $("map-out").addEventListener("click", () => zoom(2));
  $("map-fit").addEventListener("click", fit);
  $("map-hand").addEventListener("click", () => {
    const on = $("map-hand").getAttribute("aria-pressed") !== "true";
    $("map-hand").setAttribute("aria-pressed", String(on));
    canvas.classList.toggle("moves", on);
  });
  $("map-box").addEventListener("change", () => choose($("map-box").value.replace(/\s/g, "")));
  $("map-clear").addEventListener("click", () => choose(""));
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  return {
    /** Take new points, longitude and latitude in turn, and show them all the first time. */
    show(found, chosen) {
      const isFirst = !points.length;
      points = found;
      box = chosen;
      $("map-box").value = chosen;
      $("map-clear").disabled = !chosen;
      const count = (points.length / 2).toLocaleString("en-US");
      $("map-says").textContent = chosen ? `${count} rows; the list shows those in the rectangle` : `${count} rows; drag a rectangle to filter the list`;
      if (isFirst) fit(); else draw();
    },
  };
}

/** A ring of tenths of degrees, each point as the difference from the one before, as degrees. */
function unpacked(ring) {
  const degrees = new Float32Array(ring.length);
  let [lon, lat] = [0, 0];
  for (let i = 0; i < ring.length; i += 2) {
    lon += ring[i]; lat += ring[i + 1];
    degrees[i] = lon / 10; degrees[i + 1] = lat / 10;
  }
  return degrees;
}
