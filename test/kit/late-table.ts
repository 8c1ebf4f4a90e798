import type { RowChange, Table } from "../../src/backbone/backbone.js"

/** A table as a relay sees it that hears, when told to, of no more than what stands then. */
export interface LateTable {
  readonly table: Table
  /** Tells what changed since the last time, several changes of a row as one. */
  tell(): void
}

export function lateTable(table: Table): LateTable {
  const unheard = new Map<string, RowChange>()
  let listener: (change: RowChange) => void = () => {}
  let isOpening = true
  const watch: Table["watch"] = async (listen) => {
    listener = listen
    const end = await table.watch((change) => {
      if (isOpening) listen(change)
      else unheard.set(change.key, change)
    })
    isOpening = false
    return end
  }
  const tell = (): void => {
    for (const change of unheard.values()) listener(change)
    unheard.clear()
  }
  const get: Table["get"] = (key) => table.get(key)
  const put: Table["put"] = (key, value, expected) => table.put(key, value, expected)
  const remove: Table["delete"] = (key, expected) => table.delete(key, expected)
  return { table: { get, put, delete: remove, rows: () => table.rows(), watch }, tell }
}
