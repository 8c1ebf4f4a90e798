import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import type { TestContext } from "vitest"
import { RelayProcess } from "./program.js"
import { hasAbility } from "./requires.js"

/** CPU seconds and resident bytes of a process. */
interface Usage {
  readonly cpuSeconds: number
  readonly residentBytes: number
}

/** False, with one loud line, where the usage of another process cannot be read; only Linux shows it. */
export const canMeasureProcesses = hasAbility("/proc", () => existsSync("/proc/self/stat"))

const ticksPerSecond = canMeasureProcesses
  ? Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))
  : 100

/** Reads what a process has used since it started. Source: proc_pid_stat(5), fields 14, 15 and 24. */
function usageOf(pid: number): Usage {
  // The name of the program, which may contain spaces, ends with the last parenthesis.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
  const [userTicks = 0, systemTicks = 0] = fields.slice(11, 13).map(Number)
  const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return { cpuSeconds: (userTicks + systemTicks) / ticksPerSecond, residentBytes: Number(resident) * 1024 }
}

/** A relay that is attacked, and an idle one that was started in the same way. */
export class AttackedRelay {
  readonly relay: RelayProcess
  readonly #idle: RelayProcess
  readonly #before: Usage

  private constructor(relay: RelayProcess, idle: RelayProcess) {
    this.relay = relay
    this.#idle = idle
    this.#before = usageOf(relay.pid)
  }

  /** Starts both; they end with the test. The default guards and rates hold unless `args` say otherwise. */
  static async start({ onTestFinished }: TestContext, ...args: string[]): Promise<AttackedRelay> {
    const withDefaults = args.includes("--guards") ? args : ["--guards", "/dev/null", ...args]
    const [relay, idle] = await Promise.all([
      RelayProcess.start(...withDefaults),
      RelayProcess.start(...withDefaults),
    ])
    onTestFinished(() => relay.kill())
    onTestFinished(() => idle.kill())
    return new AttackedRelay(relay, idle)
  }

  get port(): number {
    return Number(new URL(this.relay.url).port)
  }

  /**
   * Returns what the attack has cost: its CPU time in starts of a relay, and the memory in idle relays. A ratio holds on
   * slow and busy machines alike.
   */
  cost(): { readonly cpu: number; readonly memory: number } {
    const [attacked, idle] = [usageOf(this.relay.pid), usageOf(this.#idle.pid)]
    return {
      cpu: (attacked.cpuSeconds - this.#before.cpuSeconds) / idle.cpuSeconds,
      memory: attacked.residentBytes / idle.residentBytes,
    }
  }
}
