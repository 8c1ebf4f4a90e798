// The words of the page in the language of the person, from a file for each language.

const languages = /** @type {const} */ (["en", "zh"])
const remembered = "agentchat.language"

/** @type {Record<string, string>} */
let words = {}
let language = "en"

/** Returns the language: the one chosen here before, or the first of the browser's that there is. */
export function preferredLanguage() {
  const chosen = localStorage.getItem(remembered)
  const wanted = [chosen, ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase())
  return wanted.find((tag) => languages.some((each) => each === tag)) ?? "en"
}

/** Loads the words of a language. @param {string} wanted */
export async function loadWords(wanted) {
  const response = await fetch(`/words/${wanted}.json`)
  words = /** @type {Record<string, string>} */ (await response.json())
  language = wanted
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : wanted
}

/** Remembers the chosen language. @param {string} wanted */
export function rememberLanguage(wanted) {
  localStorage.setItem(remembered, wanted)
}

/** The other language. */
export function otherLanguage() {
  return language === "en" ? "zh" : "en"
}

/**
 * Returns the text of a key, with `{name}` replaced by what it stands for.
 * @param {string} key
 * @param {Readonly<Record<string, string | number>>} [facts]
 */
export function t(key, facts = {}) {
  const text = words[key] ?? key
  return text.replace(/\{(\w+)\}/g, (whole, /** @type {string} */ name) =>
    Object.hasOwn(facts, name) ? String(facts[name]) : whole,
  )
}

/** @param {number} count */
export function number(count) {
  return new Intl.NumberFormat(language).format(count)
}

/** Formats a count shortly, such as `12k`. @param {number} count */
export function short(count) {
  return new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 }).format(count)
}

/** @param {number} ts */
export function clockTime(ts) {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(ts)
}

/** @param {number} ts */
export function fullTime(ts) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(ts)
}

/** Formats a length of time in its largest unit, such as `3 min`. @param {number} ms */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1_000))
  if (s < 60) return t("span.s", { n: s })
  if (s < 3_600) return t("span.m", { n: Math.floor(s / 60) })
  if (s < 86_400) return t("span.h", { n: Math.floor(s / 3_600) })
  return t("span.d", { n: Math.floor(s / 86_400) })
}
