import { ChatError } from "../protocol/errors.js"
import type { Row, Table } from "./backbone.js"

/** Attempts before an update gives up. */
const maxTries = 20
const retryAfterMs = 1_000

/** How a row is to change. */
export interface RowUpdate<T> {
  /** Passed on to the caller of {@link updateRow}. */
  readonly result: T
  /** The new value; null deletes the row, undefined leaves it as it is. */
  readonly value?: string | null | undefined
}

/** The row an update starts from. */
export type KnownRow = Pick<Row, "value" | "revision">

interface UpdateOptions {
  /** Names what is updated, for the error. */
  readonly what: string
  /** The row as last seen, used for the first attempt instead of a read; revision 0 when it did not exist. */
  readonly known?: KnownRow | undefined
}

/**
 * Updates a row optimistically: reads it, computes the new value and writes that if the row has not changed since.
 * If it has, reads the row again and starts over.
 * @param change - computes the update; called once per attempt, with undefined when the row does not exist
 * @returns the result of the last `change`, and the revision of the row after it: 0 when there is no row
 * @throws {ChatError} UNAVAILABLE after 20 conflicts, or when the table cannot be reached; and what `change` throws
 */
export async function updateRow<T>(
  table: Pick<Table, "get" | "put" | "delete">,
  key: string,
  change: (row: KnownRow | undefined) => RowUpdate<T> | Promise<RowUpdate<T>>,
  { what, known }: UpdateOptions,
): Promise<{ result: T; revision: number }> {
  let row = known ?? (await table.get(key))
  for (let tries = 1; ; tries++) {
    const { result, value } = await change(row)
    const expected = row?.revision ?? 0
    if (value === undefined) return { result, revision: expected }
    if (value === null) {
      if (await table.delete(key, expected)) return { result, revision: 0 }
    } else {
      const revision = await table.put(key, value, expected)
      if (revision !== undefined) return { result, revision }
    }
    if (tries === maxTries) throw tooManyChanges(what)
    row = await table.get(key)
  }
}

/** The error of an operation that gave up because others kept changing its rows. */
export function tooManyChanges(what: string): ChatError {
  return new ChatError("UNAVAILABLE", `${what}: too many concurrent changes`, { retryAfterMs })
}
