// Charts of the rows: light bars for all of them, strong ones for those that are selected. A bar is a filter.
import { el, number } from "/draw.js";
import { lastPart } from "/record.js";

const TITLES = { long: "Tokens, long text", short: "Tokens, short text", warning: "Warnings", reason: "Reasons", recipe: "Recipes", subset: "Subsets", model: "Models" };
const brief = (value) => (Number.isInteger(value) ? number(value) : Number(value.toPrecision(4)).toString());

/** Draw charts; `change` is told the filter of the bar that was pressed, or none where it was pressed already. */
export function drawCharts(place, charts, asked, change) {
  place.replaceChildren(...charts.map((chart) => (chart.bins ? histogram(chart, asked, change) : values(chart, asked, change))));
  if (!charts.length) place.replaceChildren(el("p", { class: "nothing", text: "Nothing to count here." }));
}

const count = (bar) => `${number(bar.kept)} of ${number(bar.all)} rows`;

function histogram({ name, score, bins }, asked, change) {
  const [low, high] = [`${name}_min`, `${name}_max`];
  const isSet = (!score || asked.score === score) && (asked[low] || asked[high]);
  const most = Math.max(...bins.map((bin) => bin.all), 1);
  const mostKept = Math.max(...bins.map((bin) => bin.kept), 1);
  const bars = bins.map((bin) => {
    const chosen = isSet && Number(asked[low] ?? -Infinity) <= bin.min && bin.max <= Number(asked[high] ?? Infinity);
    const range = bin.min === bin.max ? brief(bin.min) : `${brief(bin.min)} to ${brief(bin.max)}`;
    const press = () => change(chosen ? { [low]: "", [high]: "", ...(score ? { score: "" } : {}) } : { [low]: String(bin.min), [high]: String(bin.max), ...(score ? { score } : {}) });
    const bar = el("button", { type: "button", class: "bin", title: `${range}: ${count(bin)}`, "aria-label": `${range}: ${count(bin)}`, "aria-pressed": String(Boolean(chosen)), click: press },
      el("span", { class: "all" }), el("span", { class: "kept" }));
    bar.children[0].style.height = `${(100 * bin.all) / most}%`;
    bar.children[1].style.height = `${(100 * bin.kept) / mostKept}%`;
    return bar;
  });
  return el("figure", { class: "chart" }, el("figcaption", { text: TITLES[name] ?? score }), el("div", { class: "bins" }, bars),
    el("div", { class: "ends" }, el("span", { text: brief(bins[0].min) }), el("span", { text: brief(bins.at(-1).max) })));
}

function values({ name, values: bars }, asked, change) {
  const most = Math.max(...bars.map((bar) => bar.all), 1);
  return el("figure", { class: "chart" }, el("figcaption", { text: TITLES[name] }), el("div", { class: "values" }, bars.map((bar) => {
    const chosen = asked[name] === bar.value;
    const button = el("button", { type: "button", class: "value", title: bar.value, "aria-pressed": String(chosen), click: () => change({ [name]: chosen ? "" : bar.value }) },
      el("span", { class: "all" }), el("span", { class: "kept" }), el("span", { class: "name", text: lastPart(bar.value) }), el("span", { class: "count", text: bar.kept === bar.all ? number(bar.all) : `${number(bar.kept)} of ${number(bar.all)}` }));
    button.children[0].style.width = `${(100 * bar.all) / most}%`;
    button.children[1].style.width = `${(100 * bar.kept) / most}%`;
    return button;
  })));
}
