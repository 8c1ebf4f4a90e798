// Makes elements. Texts go in as text nodes and attributes only, so that nothing of an agent becomes markup.

/** @typedef {Node | string | number | false | undefined} Child */
/** @typedef {Record<string, string | number | boolean | undefined | ((event: any) => void)>} Attributes */

const svgSpace = "http://www.w3.org/2000/svg"

/**
 * Makes an HTML element. An attribute that is a function is a listener for the event of that name.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children)
}

/**
 * Makes an SVG element.
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children)
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, "")
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value))
  }
  append(element, children)
  return element
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
  for (const child of children) {
    if (child === undefined || child === false) continue
    element.append(typeof child === "number" ? String(child) : child)
  }
}

/** Replaces the children of an element. @param {Element} element @param {Child[]} children */
export function replace(element, ...children) {
  element.replaceChildren()
  append(element, children)
}

/** @typedef {{ readonly element: HTMLElement, readonly mark: string }} Shown */

/** The elements of each list, by key. @type {WeakMap<Element, Map<string, Shown>>} */
const lists = new WeakMap()

/**
 * Shows a list: makes elements only for items that are new or changed, so that the rest keeps its focus and its inputs.
 * @template I
 * @param {Element} parent - may begin with a `thead`
 * @param {readonly I[]} items
 * @param {{ key: (item: I) => string, make: (item: I) => HTMLElement, mark?: (item: I) => string }} how - `mark`: what an
 *   element shows; another mark makes a new element
 */
export function showList(parent, items, { key, make, mark = (item) => JSON.stringify(item) }) {
  const before = lists.get(parent) ?? emptyList()
  const after = emptyList()
  for (const item of items) {
    const known = before.get(key(item))
    const now = mark(item)
    const shown = known?.mark === now ? known : { element: make(item), mark: now }
    if (known !== undefined && known !== shown) exchange(known.element, shown.element)
    after.set(key(item), shown)
  }
  for (const [id, { element }] of before) if (!after.has(id)) element.remove()
  order(parent, after.values())
  lists.set(parent, after)
}

/** @returns {Map<string, Shown>} */
function emptyList() {
  return new Map()
}

/** Puts elements in their order, and moves only those that are elsewhere. @param {Element} parent @param {Iterable<Shown>} shown */
function order(parent, shown) {
  const first = parent.firstElementChild
  let next = first?.tagName === "THEAD" ? first.nextElementSibling : first
  for (const { element } of shown) {
    if (element === next) next = element.nextElementSibling
    else parent.insertBefore(element, next)
  }
}

/** @param {HTMLElement} old @param {HTMLElement} made */
function exchange(old, made) {
  const hadFocus = old.contains(document.activeElement)
  old.replaceWith(made)
  if (hadFocus) focusIn(made)
}

/** @param {HTMLElement} element */
function focusIn(element) {
  const target = element.matches("button, a, [tabindex]")
    ? element
    : element.querySelector("button, a, [tabindex]")
  if (target instanceof HTMLElement) target.focus()
}
