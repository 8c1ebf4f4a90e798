import type { RowChange, Table } from "../../src/backbone/backbone.js"

/** A table whose watch reports changes only on request. */
export interface LateTable {
  readonly table: Table
  /** Reports what has changed since the last call, with all changes of a row as one. */
  deliver(): void
}

export function lateTable(table: Table): LateTable {
  const changes = new Map<string, RowChange>()
  let listener: (change: RowChange) => void = () => {}
  let isOpening = true
  const watch: Table["watch"] = async (listen) => {
    listener = listen
    const end = await table.watch((change) => {
      if (isOpening) listen(change)
      else changes.set(change.key, change)
    })
    isOpening = false
    return end
  }
  const deliver = (): void => {
    for (const change of changes.values()) listener(change)
    changes.clear()
  }
  const get: Table["get"] = (key) => table.get(key)
  const put: Table["put"] = (key, value, expected) => table.put(key, value, expected)
  const remove: Table["delete"] = (key, expected) => table.delete(key, expected)
  return { table: { get, put, delete: remove, rows: () => table.rows(), watch }, deliver }
}
