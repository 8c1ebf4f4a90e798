import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { until } from "../kit/condition.js"

/** A terminal of 24 rows with one program in it, on a tmux server of its own. */
export class Terminal {
  readonly #dir = mkdtempSync(join(tmpdir(), "agentchat-tty-"))

  /** @param command - a line of shell */
  constructor(command: string, env: Readonly<Record<string, string>> = {}, columns = 100) {
    onTestFinished(() => this.#end())
    const variables = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`])
    this.#tmux(
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-c",
      this.#dir,
      "-x",
      String(columns),
      "-y",
      "24",
      ...variables,
      command,
    )
    // Otherwise the last screen disappears when the program ends.
    this.#tmux("set-option", "-g", "remain-on-exit", "on")
  }

  /** Types text as it is. */
  type(text: string): void {
    this.#tmux("send-keys", "-l", "--", text)
  }

  /** Presses keys, by the names that tmux gives them: `Enter`, `Up`, `C-c`. */
  press(...keys: string[]): void {
    this.#tmux("send-keys", ...keys)
  }

  /** The rows that are not empty. */
  get rows(): string[] {
    return this.#tmux("capture-pane", "-p")
      .split("\n")
      .map((row) => row.trimEnd())
      .filter((row) => row !== "")
  }

  /** Waits until a row matches. @returns the screen then */
  async shows(pattern: RegExp): Promise<string[]> {
    return until(`${String(pattern)} on the screen`, () => {
      const { rows } = this
      return rows.some((row) => pattern.test(row)) && rows
    })
  }

  #tmux(...args: string[]): string {
    const { stdout, stderr, status } = spawnSync("tmux", ["-S", join(this.#dir, "socket"), ...args], {
      encoding: "utf8",
    })
    if (status !== 0) throw new Error(`tmux ${args.join(" ")}: ${stderr}`)
    return stdout
  }

  #end(): void {
    spawnSync("tmux", ["-S", join(this.#dir, "socket"), "kill-server"])
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
