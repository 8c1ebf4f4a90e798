import { isPlain } from "../base/plain.js"

/** An entry, in a ring from the oldest to the newest. */
interface Node<V> {
  key: string
  value: V
  /** As JSON, once that was made; "" after each change. */
  text: string
  older: Node<V>
  newer: Node<V>
}

/** Characters of JSON that are made at once: a millisecond's work. */
const preparedAtOnce = 16_000
/** So few entries are looked through, one after the other. */
const fewEntries = 4

/**
 * What was touched last, by key: a map that forgets its oldest entries instead of growing. Values are what JSON can say;
 * who changes one sets it again.
 */
export class SavedMap<V> {
  // The order is kept beside the map: a map alone gets slow where its oldest entry is deleted again and again.
  /** Absent until there are more than a few: most rooms are of two. */
  #nodes: Map<string, Node<V>> | undefined
  readonly #count: number
  readonly #saved: number
  #size = 0
  #newest: Node<V> | undefined
  /** What was asked for last, and what was found: it is asked for to check a message, and again to note it. */
  #asked = ""
  #found: Node<V> | undefined
  #version = 0

  /**
   * @param count - entries kept
   * @param saved - characters of {@link save} at most
   */
  constructor(count: number, saved: number) {
    this.#count = count
    this.#saved = saved
  }

  get size(): number {
    return this.#size
  }

  /** Another number after each change. */
  get version(): number {
    return this.#version
  }

  get newest(): V | undefined {
    return this.#newest?.value
  }

  get(key: string): V | undefined {
    return this.#nodeOf(key)?.value
  }

  /** The newest value for which that holds. */
  find(test: (value: V) => boolean): V | undefined {
    const newest = this.#newest
    if (newest === undefined) return undefined
    let node = newest
    do {
      if (test(node.value)) return node.value
      node = node.older
    } while (node !== newest)
    return undefined
  }

  /** Keeps `value`, as the newest. */
  set(key: string, value: V): void {
    this.#version++
    const known = this.#nodeOf(key)
    if (known !== undefined) {
      known.value = value
      known.text = ""
      if (known === this.#newest) return
      unlink(known)
      this.#link(known)
      return
    }
    const node = this.#place(key, value)
    this.#found = node
    this.#nodes?.set(key, node)
    this.#link(node)
    this.#size++
    if (this.#size > fewEntries) this.#nodes ??= new Map(this.#all().map((each) => [each.key, each]))
  }

  delete(key: string): void {
    const node = this.#nodeOf(key)
    if (node !== undefined) this.#remove(node)
  }

  /** Forgets the oldest entries, as long as that holds of their values. */
  forgetWhile(test: (value: V) => boolean): void {
    while (this.#newest !== undefined && test(this.#newest.newer.value)) this.#remove(this.#newest.newer)
  }

  /** Every entry, oldest first. */
  entries(): [string, V][] {
    return this.#all().map(({ key, value }) => [key, value])
  }

  /** Does some of what {@link save} would have to, a millisecond of it. Gives whether that was all. @param characters - of JSON */
  prepare(characters = preparedAtOnce): boolean {
    return this.#texts(characters) !== undefined
  }

  /** The entries as JSON, oldest first; as many of the newest as there is room for. */
  save(): SavedList {
    return new SavedList((this.#texts(Number.POSITIVE_INFINITY) ?? []).reverse())
  }

  /** Takes over what {@link save} gave, of it what `isValue` knows. */
  load(state: unknown, isValue: (value: unknown) => value is V): void {
    this.read(state, (value) => (isValue(value) ? value : undefined))
  }

  /** Takes over what {@link save} gave, as `make` makes it; undefined: nothing of it. */
  read(state: unknown, make: (value: unknown, key: string) => V | undefined): void {
    const list = state instanceof SavedList ? state.toJSON() : state
    if (!Array.isArray(list)) return
    for (const entry of list as unknown[]) {
      if (!Array.isArray(entry)) continue
      const [key, saved] = entry as unknown[]
      const value = typeof key === "string" ? make(saved, key) : undefined
      if (typeof key === "string" && value !== undefined) this.set(key, value)
    }
  }

  /**
   * What is saved, newest first. What was made before and has not changed is not made again.
   * @param most - characters that may be made; undefined is given when they do not suffice
   */
  #texts(most: number): string[] | undefined {
    const texts: string[] = []
    let [room, left] = [this.#saved, most]
    let node = this.#newest
    while (node !== undefined && room > 0) {
      if (node.text === "") {
        if (left <= 0) return undefined
        node.text = JSON.stringify([node.key, node.value])
        left -= node.text.length
      }
      room -= node.text.length + 1
      if (room < 0) break
      texts.push(node.text)
      node = node.older === this.#newest ? undefined : node.older
    }
    // What has no place any more is not remembered as text either.
    while (node !== undefined && node.text !== "") {
      node.text = ""
      node = node.older === this.#newest ? undefined : node.older
    }
    return texts
  }

  #nodeOf(key: string): Node<V> | undefined {
    if (key === this.#asked) return this.#found
    this.#asked = key
    this.#found = this.#nodes === undefined ? this.#seek(key) : this.#nodes.get(key)
    return this.#found
  }

  /** Looks through all of them. */
  #seek(key: string): Node<V> | undefined {
    let node = this.#newest
    for (let n = 0; node !== undefined && n < this.#size; n++, node = node.older)
      if (node.key === key) return node
    return undefined
  }

  /** Oldest first. */
  #all(): Node<V>[] {
    const nodes: Node<V>[] = []
    let node = this.#newest
    for (let n = 0; node !== undefined && n < this.#size; n++) {
      node = node.newer
      nodes.push(node)
    }
    return nodes
  }

  /** A node that stands alone: the oldest one's, where there is room for no more, so that nothing is left to collect. */
  #place(key: string, value: V): Node<V> {
    const oldest = this.#size < this.#count ? undefined : this.#newest?.newer
    if (oldest !== undefined) this.#remove(oldest)
    const node = oldest ?? ({ key, value, text: "" } as Node<V>)
    node.key = key
    node.value = value
    node.text = ""
    // It is its own neighbour until it is linked.
    node.older = node
    node.newer = node
    return node
  }

  #remove(node: Node<V>): void {
    this.#version++
    this.#size--
    if (node === this.#found) this.#found = undefined
    this.#nodes?.delete(node.key)
    if (node === this.#newest) this.#newest = node.older === node ? undefined : node.older
    unlink(node)
  }

  /** Puts a node that stands alone behind the newest. */
  #link(node: Node<V>): void {
    const newest = this.#newest
    if (newest !== undefined) {
      node.older = newest
      node.newer = newest.newer
      newest.newer.older = node
      newest.newer = node
    }
    this.#newest = node
  }
}

function unlink<V>(node: Node<V>): void {
  node.older.newer = node.newer
  node.newer.older = node.older
}

/** A list that is JSON already: what is long is not made twice. */
export class SavedList {
  readonly #items: readonly string[]

  /** @param items - each as JSON */
  constructor(items: readonly string[]) {
    this.#items = items
  }

  get text(): string {
    return `[${this.#items.join()}]`
  }

  toJSON(): unknown {
    return JSON.parse(this.text)
  }
}

/** The same as JSON.stringify, of plain data with {@link SavedList}s in it; faster. */
export function formatSaved(state: unknown): string {
  if (state instanceof SavedList) return state.text
  if (!isPlain(state)) return JSON.stringify(state ?? null)
  const members = Object.entries(state).filter(([, value]) => value !== undefined)
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${formatSaved(value)}`).join()}}`
}
