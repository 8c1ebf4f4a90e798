import { SavedList } from "./saved-list.js"

/** An entry, in a ring from the oldest to the newest. */
interface Node<V> {
  readonly key: string
  value: V
  older: Node<V>
  newer: Node<V>
}

/**
 * What was touched last, by key: a map that forgets its oldest entries instead of growing. Values are plain JSON and
 * are replaced, never changed.
 */
export class Recent<V> {
  // The order is kept beside the map: a map alone gets slow where its oldest entry is deleted again and again.
  readonly #nodes = new Map<string, Node<V>>()
  readonly #count: number
  readonly #saved: number
  #newest: Node<V> | undefined
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
    return this.#nodes.size
  }

  /** Another number after each change. */
  get version(): number {
    return this.#version
  }

  get(key: string): V | undefined {
    return this.#newest === undefined ? undefined : this.#nodes.get(key)?.value
  }

  /** Keeps `value`, as the newest. */
  set(key: string, value: V): void {
    this.#version++
    const known = this.#nodes.get(key)
    if (known !== undefined) {
      known.value = value
      if (known === this.#newest) return
      unlink(known)
      this.#link(known)
      return
    }
    // It is its own neighbour until it is linked.
    const node = { key, value } as Node<V>
    node.older = node
    node.newer = node
    this.#nodes.set(key, node)
    this.#link(node)
    if (this.#nodes.size > this.#count) this.delete(node.newer.key)
  }

  delete(key: string): void {
    const node = this.#nodes.get(key)
    if (node === undefined) return
    this.#version++
    this.#nodes.delete(key)
    if (node === this.#newest) this.#newest = node.older === node ? undefined : node.older
    unlink(node)
  }

  /** Every entry, oldest first. */
  entries(): [string, V][] {
    const entries: [string, V][] = []
    let node = this.#newest?.newer
    while (node !== undefined) {
      entries.push([node.key, node.value])
      node = node === this.#newest ? undefined : node.newer
    }
    return entries
  }

  /** The entries as JSON, oldest first; as many of the newest as there is room for. */
  save(): SavedList {
    const texts: string[] = []
    let room = this.#saved
    let node = this.#newest
    while (node !== undefined) {
      const text = JSON.stringify([node.key, node.value])
      room -= text.length + 1
      if (room < 0) break
      texts.push(text)
      node = node.older === this.#newest ? undefined : node.older
    }
    return new SavedList(texts.reverse())
  }

  /** Takes over what {@link save} gave, of it what `isValue` knows. */
  load(state: unknown, isValue: (value: unknown) => value is V): void {
    const list = state instanceof SavedList ? state.toJSON() : state
    if (!Array.isArray(list)) return
    for (const entry of list as unknown[]) {
      if (!Array.isArray(entry)) continue
      const [key, value] = entry as unknown[]
      if (typeof key === "string" && isValue(value)) this.set(key, value)
    }
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
