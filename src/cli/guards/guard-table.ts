import { formatForTerminal } from "../../base/visible-text.js"
import type { GuardUsage } from "../../protocol/guard-facts.js"
import { formatTable } from "../output/table.js"

/** What is used and left of each guard, as a table. @param columns - as for {@link formatTable} */
export function formatUsages(list: readonly GuardUsage[], columns?: number): string[] {
  const rows = list.map(({ layer, scope, used, limit, free_in_ms: freeMs, tripped }) => [
    formatForTerminal(layer),
    formatForTerminal(scope),
    String(used),
    String(Math.max(0, limit - used)),
    freeMs === undefined ? "" : `${Math.ceil(freeMs / 1_000)} s`,
    tripped ? "stopped" : "",
  ])
  return rows.length === 0
    ? []
    : formatTable(["GUARD", "SCOPE", "USED", "LEFT", "MORE IN", ""], rows, columns)
}
