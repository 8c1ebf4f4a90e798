import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline"
import type { Io } from "../context.js"

/** What a screen hands to its owner. */
export interface ChatScreenEvents {
  onLine(line: string): void
  /** No more lines will come: the end of the input, or Ctrl-D. */
  onEnd(): void
  /** Ctrl-C at an empty prompt. */
  onInterrupt(): void
}

/**
 * Lines in, lines out. At a terminal there is a prompt with editing and history, which stays below whatever
 * is printed meanwhile; without one nothing but the lines is written.
 */
export class ChatScreen {
  readonly #io: Io
  readonly #lines: Interface
  readonly #hasPrompt: boolean
  #isClosed = false
  /** Whether the cursor stands behind a prompt. */
  #isPrompting = false

  constructor(io: Io, events: ChatScreenEvents) {
    this.#io = io
    this.#hasPrompt = io.isInputTerminal && io.isOutputTerminal
    this.#lines = createInterface({
      input: io.input,
      ...(this.#hasPrompt ? { output: io.output } : {}),
      terminal: this.#hasPrompt,
      prompt: "> ",
      historySize: 500,
      removeHistoryDuplicates: true,
    })
    this.#lines.on("line", (line) => {
      this.#isPrompting = false
      events.onLine(line)
    })
    this.#lines.on("close", () => {
      this.#isClosed = true
      events.onEnd()
    })
    this.#lines.on("SIGINT", () => {
      if (this.#lines.line === "") events.onInterrupt()
      else this.#lines.write(null, { ctrl: true, name: "u" })
    })
  }

  /** Shows where a line will go. @param place - safe for a terminal */
  setPlace(place: string): void {
    this.#lines.setPrompt(`${place}> `)
    this.refresh()
  }

  /** Shows the prompt with what is typed so far. */
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
    // The typed text may span rows. readline moves up that many before it draws, so they must exist again.
    const { rows } = this.#lines.getCursorPos()
    const { output } = this.#io
    moveCursor(output, 0, -rows)
    cursorTo(output, 0)
    clearScreenDown(output)
    output.write(`${line}\n${"\n".repeat(rows)}`)
    this.refresh()
  }

  /** Leaves the terminal at the beginning of a line. */
  close(): void {
    if (this.#isPrompting) this.#io.output.write("\n")
    this.#isPrompting = false
    if (!this.#isClosed) this.#lines.close()
  }
}
