// Runs the storm of test/e2e/storm.test.ts at full length; the test holds the requirements.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { cleanEnvironment, endAtExit, withCleanup } from "./kit/children.mjs"
import { Home } from "./kit/home.mjs"

const size = { seed: 1, agents: 20, processes: 5, roles: 4, messages: 5_000, rounds: 3 }
const root = join(import.meta.dirname, "..")

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  return withCleanup(async (defer) => {
    const file = join(new Home(defer).directory, "report.json")
    const runner = join(root, "node_modules/vitest/vitest.mjs")
    const child = spawn(process.execPath, [runner, "run", "test/e2e/storm.test.ts"], {
      cwd: root,
      env: { ...cleanEnvironment, STORM: JSON.stringify(size), STORM_REPORT: file },
      stdio: ["ignore", "inherit", "inherit"],
    })
    const forget = endAtExit(() => child.kill("SIGKILL"))
    await once(child, "exit")
    forget()
    /** @type {import("../test/kit/storm.js").StormReport} */
    const report = JSON.parse(readFileSync(file, "utf8"))
    const { verdict, accepted, rejected, delivered, answered, faults, seconds } = report
    return {
      goal: "every accepted message in exactly the right inboxes exactly once, in its sender's order; every task answered once",
      tables: [
        {
          caption: `${size.agents} agents, 3 relays over a cluster of 3 NATS nodes, ${size.messages} messages, seed ${size.seed}`,
          columns: [
            "accepted",
            "rejected",
            "delivered",
            "answered",
            "faults",
            "missing",
            "wrong",
            "lost by NATS",
            "seconds",
          ],
          rows: [
            [
              ...[accepted, rejected, delivered, answered],
              ...[faults.filter((line) => line.includes("breaks")).length],
              ...[verdict.missing.length, verdict.wrong.length, verdict.excused.length, seconds.toFixed(1)],
            ],
          ],
        },
      ],
      notes: [
        "faults: kill -9 of relays, of processes with daemons and of NATS nodes; networks cut for long and for short",
        ...[...verdict.missing, ...verdict.wrong, ...verdict.excused].slice(0, 10),
      ],
    }
  })
}
