import type { Backbone, Logs, Table } from "../backbone/backbone.js"
import type { Clock } from "../base/clock.js"
import type { RelayObserver } from "./observer.js"

/** Returns a backbone whose reads and writes are timed. */
export function observeBackbone(
  backbone: Backbone,
  { stored }: Pick<RelayObserver, "stored">,
  clock: Pick<Clock, "monotonic">,
): Backbone {
  /** Times a call. @param operation - one of a few words */
  const timed =
    <Args extends unknown[], T>(operation: string, act: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      const startMs = clock.monotonic()
      let hasFailed = true
      try {
        const result = await act(...args)
        hasFailed = false
        return result
      } finally {
        stored(operation, (clock.monotonic() - startMs) / 1_000, hasFailed)
      }
    }
  const logs = (inner: Logs): Logs =>
    delegate(inner, {
      append: timed("append", (...args: Parameters<Logs["append"]>) => inner.append(...args)),
      read: timed("read", (...args: Parameters<Logs["read"]>) => inner.read(...args)),
      last: timed("read", (...args: Parameters<Logs["last"]>) => inner.last(...args)),
    })
  const table = (inner: Table): Table =>
    delegate(inner, {
      get: timed("get", (...args: Parameters<Table["get"]>) => inner.get(...args)),
      put: timed("put", (...args: Parameters<Table["put"]>) => inner.put(...args)),
    })
  const search = backbone.search === undefined ? undefined : backbone.search.bind(backbone)
  return delegate(backbone, {
    logs: async (name, retention) => logs(await backbone.logs(name, retention)),
    table: async (name) => table(await backbone.table(name)),
    ...(search !== undefined && { search: timed("search", search) }),
  })
}

/** Returns an object that does as `inner` does, except for some members. */
function delegate<T extends object>(inner: T, members: Partial<T>): T {
  return new Proxy(inner, {
    get(target, key) {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key)
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
}
