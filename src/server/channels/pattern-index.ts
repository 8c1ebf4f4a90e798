import type { Channel, ChannelPattern } from "../../protocol/names.js"

/** The patterns that begin alike up to one level. */
interface Node<T> {
  readonly next: Map<string, Node<T>>
  /** Holders of the pattern that ends here. */
  readonly holders: Map<T, ChannelPattern>
}

/** The holders of patterns, by level: a channel is compared with the patterns that fit it level by level, not with all. */
export class PatternIndex<T> {
  readonly #root: Node<T> = newNode()

  add(pattern: ChannelPattern, holder: T): void {
    let node = this.#root
    for (const level of levelsOf(pattern)) {
      const next = node.next.get(level) ?? newNode<T>()
      node.next.set(level, next)
      node = next
    }
    node.holders.set(holder, pattern)
  }

  delete(pattern: ChannelPattern, holder: T): void {
    remove(this.#root, levelsOf(pattern), holder)
  }

  /** Returns the holders of patterns that match a channel, each with one such pattern. */
  matching(channel: Channel): ReadonlyMap<T, ChannelPattern> {
    const found = new Map<T, ChannelPattern>()
    const take = (node: Node<T> | undefined) => {
      for (const [holder, pattern] of node?.holders ?? []) found.set(holder, pattern)
    }
    let nodes: readonly Node<T>[] = [this.#root]
    for (const level of levelsOf(channel)) {
      for (const { next } of nodes) take(next.get(">"))
      const following = nodes.flatMap(({ next }) => [next.get(level), next.get("*")])
      nodes = following.filter((node) => node !== undefined)
    }
    for (const node of nodes) take(node)
    return found
  }
}

function newNode<T>(): Node<T> {
  return { next: new Map(), holders: new Map() }
}

function levelsOf(name: Channel | ChannelPattern): string[] {
  return name.slice(1).split(".")
}

/** Removes a holder, and the nodes that lead to nobody. */
function remove<T>(node: Node<T>, [level, ...rest]: readonly string[], holder: T): void {
  if (level === undefined) {
    node.holders.delete(holder)
    return
  }
  const next = node.next.get(level)
  if (next === undefined) return
  remove(next, rest, holder)
  if (next.next.size === 0 && next.holders.size === 0) node.next.delete(level)
}
