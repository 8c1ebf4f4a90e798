import { parseRow, rowKey } from "../backbone/queue/queued-tasks.js"
import { anyObject, parseAs } from "../protocol/schema.js"
import { channelSettings } from "../protocol/server-messages.js"
import { parseBookmarks } from "./channels/bookmarks.js"
import { parseChannelRecord } from "./channels/record.js"
import { parseCoordinationRow } from "./coordination/coordination-service.js"
import { parseDealRecord } from "./deals/deal-table.js"
import { parseStored } from "./delivery/message-json.js"
import { parseGrantRow } from "./grants/grant-service.js"
import { parseAuditEntry } from "./moderation/audit-log.js"
import { parseKeyEnd } from "./roster/ended-keys.js"
import { parseRecord } from "./roster/roster-record.js"
import { isTask } from "./tasks/task-messages.js"

const members = anyObject()

/** Tests whether the relay can read a row, by the name of its table. */
const readers: Readonly<Record<string, (value: string, key: string) => boolean>> = {
  agent: (value, key) => parseRecord(key, value) !== undefined,
  audit: (value) => parseAuditEntry(value) !== undefined,
  bookmark: (value) => parseBookmarks(value) !== undefined,
  channel: (value) => parseChannelRecord(value) !== undefined,
  coordination: (value) => parseCoordinationRow(value) !== undefined,
  "ended-key": (value) => parseKeyEnd(value) !== undefined,
  grant: (value) => parseGrantRow(value) !== undefined,
  guard: (value) => parseAs(members, value) !== undefined,
  proposal: (value) => parseDealRecord(value) !== undefined,
  setting: (value) => parseAs(channelSettings, value) !== undefined,
  task: isQueueRow,
}

function isQueueRow(value: string, key: string): boolean {
  const row = parseRow(value)
  return row !== undefined && rowKey(row.id) === key && (row.task === undefined || isTask(row.task))
}

/**
 * Reports whether a relay reads a row of a table. Tables it does not know, and rows of other versions than its own,
 * count as readable: another relay may have written them.
 */
export function isReadableRow(table: string, key: string, value: string): boolean {
  const isReadable = Object.hasOwn(readers, table) ? readers[table]?.(value, key) : true
  if (isReadable !== false) return true
  const version = parseAs(members, value)?.["v"]
  return Number.isSafeInteger(version) && version !== 1
}

/** Reports whether a relay reads an entry of a family of logs. */
export function isReadableEntry(family: string, value: string): boolean {
  const message = parseStored({ value })
  return family === "durable" ? message?.type === "MSG" : family !== "inbox" || message !== undefined
}
