// Pictures as inline SVG: who writes to whom, and ratings over time.
import { nameOf } from "./app.js"
import { h, svg } from "./dom.js"
import { clockTime, number, t } from "./words.js"

/** Most points of the graph, the busiest ones. */
const shownPoints = 24
const width = 640
const height = 380
const hues = 6

/**
 * Draws who writes to whom: agents on a circle, channels in the middle, lines as thick as their messages are many.
 * @param {import("../shapes.js").PageState["traffic"]} edges - the busiest first
 */
export function trafficGraph(edges) {
  const places = placesOf(edges)
  const shown = edges.filter(({ from, to }) => places.has(from) && places.has(to))
  const most = Math.max(1, ...shown.map(({ messages }) => messages))
  const lines = shown.map(({ from, to, messages, tokens }) => {
    const [a, b] = [places.get(from), places.get(to)]
    if (a === undefined || b === undefined) return undefined
    const words = t("graph.edge", { from: nameOf(from), to: nameOf(to), n: messages, tokens: number(tokens) })
    const bend = [(a.x + b.x) / 2 + (b.y - a.y) * 0.12, (a.y + b.y) / 2 - (b.x - a.x) * 0.12]
    return svg(
      "path",
      {
        ...{ class: "edge", "stroke-width": 1 + (6 * messages) / most },
        d: `M${a.x} ${a.y}Q${bend[0]?.toFixed(1)} ${bend[1]?.toFixed(1)} ${b.x} ${b.y}`,
      },
      svg("title", {}, words),
    )
  })
  const points = [...places].map(([key, { x, y }]) => {
    const isChannel = key.startsWith("#")
    const shape = isChannel
      ? svg("rect", { x: x - 9, y: y - 9, width: 18, height: 18, rx: 4 })
      : svg("circle", { cx: x, cy: y, r: 9 })
    const label = isChannel ? key : nameOf(key)
    const text = label.length > 16 ? `${label.slice(0, 15)}…` : label
    return svg(
      "g",
      { class: isChannel ? "point channel" : "point" },
      svg("title", {}, label),
      shape,
      svg("text", { x, y: y + 24, "text-anchor": "middle" }, text),
    )
  })
  const title = t("graph.title")
  return svg(
    "svg",
    { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    ...lines,
    ...points,
  )
}

/** @param {import("../shapes.js").PageState["traffic"]} edges @returns {Map<string, { x: number, y: number }>} */
function placesOf(edges) {
  const keys = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].slice(0, shownPoints).sort()
  const channels = keys.filter((key) => key.startsWith("#"))
  const agents = keys.filter((key) => !key.startsWith("#"))
  const onCircle = (/** @type {string[]} */ list, /** @type {number} */ radius) =>
    list.map((key, index) => {
      const angle = (2 * Math.PI * index) / list.length - Math.PI / 2
      const x = Math.round(width / 2 + radius * 1.6 * Math.cos(angle))
      return /** @type {const} */ ([key, { x, y: Math.round(height / 2 - 8 + radius * Math.sin(angle)) }])
    })
  const inner = channels.length === 1 ? 0 : 70
  return new Map([...onCircle(agents, 150), ...onCircle(channels, inner)])
}

/** Lists the lines of the graph, for who does not see it. @param {import("../shapes.js").PageState["traffic"]} edges */
export function trafficTable(edges) {
  const rows = edges
    .slice(0, 50)
    .map(({ from, to, messages, tokens }) =>
      h(
        "tr",
        {},
        h("td", {}, nameOf(from)),
        h("td", {}, to.startsWith("#") ? to : nameOf(to)),
        h("td", { class: "figure" }, number(messages)),
        h("td", { class: "figure" }, number(tokens)),
      ),
    )
  const heads = ["from", "to", "messages", "tokens"].map((name) =>
    h("th", { scope: "col" }, t(`graph.${name}`)),
  )
  return h(
    "details",
    {},
    h("summary", {}, t("graph.table")),
    h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows)),
  )
}

/**
 * Draws the ratings of agents over time.
 * @param {import("../shapes.js").PageState["ratings"]} ratings - best first
 */
export function ratingCurves(ratings) {
  const shown = ratings.slice(0, hues).filter(({ points }) => points.length > 0)
  const all = shown.flatMap(({ points }) => points)
  const start = 1_200
  const [minTs, maxTs] = [Math.min(...all.map(({ ts }) => ts)), Math.max(...all.map(({ ts }) => ts))]
  const values = [start, ...all.map(({ rating }) => rating)]
  const [low, high] = [Math.min(...values) - 10, Math.max(...values) + 10]
  const xOf = (/** @type {number} */ ts) => 50 + ((ts - minTs) / Math.max(1, maxTs - minTs)) * 470
  const yOf = (/** @type {number} */ rating) => 150 - ((rating - low) / (high - low)) * 130
  const curves = shown.map(({ name, points }, index) => {
    const path = [{ ts: minTs, rating: start }, ...points].map(
      ({ ts, rating }) => `${xOf(ts).toFixed(1)} ${yOf(rating).toFixed(1)}`,
    )
    const last = points.at(-1)
    return svg(
      "g",
      { class: `curve curve-${index}` },
      svg("title", {}, name),
      svg("path", { d: `M${path.join("L")}` }),
      svg("circle", { cx: xOf(last?.ts ?? 0), cy: yOf(last?.rating ?? start), r: 3 }),
      svg("text", { x: 530, y: 24 + index * 20 }, `${"①②③④⑤⑥"[index] ?? ""} ${name.slice(0, 14)}`),
    )
  })
  const axis = [low + 10, high - 10].map((value) =>
    svg("text", { class: "axis", x: 4, y: yOf(value) + 4 }, Math.round(value)),
  )
  const times = [minTs, maxTs].map((ts, at) =>
    svg(
      "text",
      { class: "axis", x: at === 0 ? 50 : 520, y: 170, "text-anchor": at === 0 ? "start" : "end" },
      clockTime(ts),
    ),
  )
  const title = t("ratings.curves")
  return svg(
    "svg",
    { class: "curves", viewBox: "0 0 640 176", role: "img", "aria-label": title },
    ...axis,
    ...times,
    ...curves,
  )
}
