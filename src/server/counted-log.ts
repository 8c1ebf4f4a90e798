import type { Clock } from "../base/clock.js"
import { LruMap } from "../base/lru-map.js"

/** Milliseconds for which repetitions of a line are counted, and most lines at once. */
const windowMs = 60_000
const maxLines = 1_000

/** Returns a log that writes each line once a minute, and then how often it was repeated. */
export function countRepeats(log: (line: string) => void, clock: Clock): (line: string) => void {
  const report = (line: string, { repeats }: { repeats: number }) => {
    if (repeats > 0) log(`${line} (${repeats} more times within a minute)`)
  }
  const lines = new LruMap<string, { repeats: number }>(maxLines, report)
  return (line) => {
    const known = lines.peek(line)
    if (known !== undefined) {
      known.repeats++
      return
    }
    log(line)
    const counted = { repeats: 0 }
    lines.set(line, counted)
    const end = () => {
      if (lines.peek(line) !== counted) return
      lines.delete(line)
      report(line, counted)
    }
    clock.setTimer(end, windowMs, { unref: true })
  }
}
