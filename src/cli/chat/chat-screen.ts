import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline"
import type { Clock, Timer } from "../../base/clock.js"
import type { Io } from "../context.js"

/** Milliseconds between two lines, below which they are pasted: no person presses Enter twice in this time. */
const pasteMs = 30

/** Returns the word that ends a line; it may be empty. */
export function lastWord(line: string): string {
  return /\S*$/.exec(line)?.[0] ?? ""
}

/** Callbacks of a screen. */
export interface ChatScreenEvents {
  onLine(line: string): void
  /** Called instead for lines that come faster than a person types; only on a terminal. */
  onPaste(lines: readonly string[]): void
  /** Returns what the last word of a line may become. */
  complete(line: string): readonly string[]
  /** Called at the end of the input, or for Ctrl-D. */
  onEnd(): void
  /** Called for Ctrl-C at an empty prompt. */
  onInterrupt(): void
}

/**
 * Reads and prints lines. On a terminal it shows a prompt with line editing and history, and prints above it; without
 * a terminal it writes the lines only.
 */
export class ChatScreen {
  readonly #io: Io
  readonly #lines: Interface
  readonly #hasPrompt: boolean
  #isClosed = false
  /** True while the cursor is on the line of the prompt. */
  #isPrompting = false

  #typed: string[] = []
  #timer: Timer | undefined

  /** @param isDumb - true for a terminal that cannot move its cursor */
  constructor(io: Io, clock: Clock, events: ChatScreenEvents, isDumb = false) {
    this.#io = io
    this.#hasPrompt = io.isInputTerminal && io.isOutputTerminal && !isDumb
    this.#lines = createInterface({
      input: io.input,
      ...(this.#hasPrompt ? { output: io.output } : {}),
      terminal: this.#hasPrompt,
      prompt: "> ",
      historySize: 500,
      removeHistoryDuplicates: true,
      completer: (line: string) => [events.complete(line), lastWord(line)],
    })
    this.#lines.on("line", (line) => {
      this.#isPrompting = false
      if (!this.#hasPrompt) {
        events.onLine(line)
        return
      }
      this.#typed.push(line)
      this.#timer?.cancel()
      this.#timer = clock.setTimer(() => this.#handTyped(events), pasteMs)
    })
    this.#lines.on("close", () => {
      this.#isClosed = true
      this.#handTyped(events)
      events.onEnd()
    })
    this.#lines.on("SIGINT", () => {
      if (this.#lines.line === "") events.onInterrupt()
      else this.#lines.write(null, { ctrl: true, name: "u" })
    })
  }

  #handTyped(events: ChatScreenEvents): void {
    this.#timer?.cancel()
    const lines = this.#typed.splice(0)
    if (lines.length > 1) events.onPaste(lines)
    else for (const line of lines) events.onLine(line)
  }

  /** Sets the prompt. @param target - where typed text goes; safe for a terminal */
  setTarget(target: string): void {
    this.#lines.setPrompt(`${target}> `)
    this.refresh()
  }

  /** Shows the prompt and the text typed so far. */
  refresh(): void {
    if (!this.#hasPrompt || this.#isClosed) return
    this.#isPrompting = true
    this.#lines.prompt(true)
  }

  /** Prints one line above the prompt. @param line - safe for a terminal */
  print(line: string): void {
    if (!this.#hasPrompt || this.#isClosed) {
      this.#io.out(line)
      return
    }
    // The typed text may span several rows. readline moves up that many rows before it redraws, so print them first.
    const { rows } = this.#lines.getCursorPos()
    const { output } = this.#io
    moveCursor(output, 0, -rows)
    cursorTo(output, 0)
    clearScreenDown(output)
    output.write(`${line}\n${"\n".repeat(rows)}`)
    this.refresh()
  }

  /** Moves the cursor to the start of a line and ends reading. */
  close(): void {
    if (this.#isPrompting) this.#io.output.write("\n")
    this.#isPrompting = false
    if (!this.#isClosed) this.#lines.close()
  }
}
