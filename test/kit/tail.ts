import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { onTestFinished } from "vitest"
import { until } from "./condition.js"
import { parseLines, type SeenLine } from "./inbox-harness.js"

/** A real `tail -f`, started once per test. */
export class Tail {
  readonly #process: ChildProcess
  #text = ""
  #errors = ""

  private constructor(args: readonly string[]) {
    this.#process = spawn("tail", args, { env: { ...process.env, LC_ALL: "C" } })
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text
    })
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text
    })
    onTestFinished(() => void this.#process.kill())
  }

  /** Follows `path` from its first line. Resolves when tail runs, so the file must have a line. */
  static async follow(path: string, ...options: string[]): Promise<Tail> {
    const tail = new Tail(["-n", "+1", "-f", ...options, path])
    await once(tail.#process, "spawn")
    await until("tail prints", () => tail.#text !== "")
    return tail
  }

  /** The complete lines printed so far. */
  get lines(): SeenLine[] {
    return parseLines(this.#text.slice(0, this.#text.lastIndexOf("\n") + 1))
  }

  /** Number of truncations that tail noticed. */
  get truncations(): number {
    return this.#errors.split("file truncated").length - 1
  }

  /** Resolves when the line with this `seq` is printed. */
  async reaches(seq: number): Promise<void> {
    await until(`tail prints seq ${seq}`, () => this.#text.includes(`{"seq":${seq},`))
  }
}
