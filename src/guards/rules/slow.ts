import { authorOf } from "../../protocol/message-id.js"
import type { GuardMessage } from "../guard-message.js"
import { othersThan, pairOf } from "../scopes.js"
import { type Count, noCounts, WindowRule } from "./rule.js"

/**
 * Stops two agents that have answered each other `slowPairTurns` times within a day. A turn is a message to the agent
 * that had the last word between the two, wherever they speak. This catches loops with many minutes between messages;
 * finished work and an operator's word begin a new count.
 */
export class SlowRule extends WindowRule {
  readonly name = "slow"
  readonly liftedBy = "progress"
  protected readonly limit = this.limits.slowPairTurns
  protected readonly windowMs = this.limits.slowWindowMs

  count(message: GuardMessage): readonly Count[] {
    let counts = noCounts
    for (const other of partnersOf(message)) {
      const pair = pairOf(message.from, other)
      const count = this.countOf(pair, this.#isTurn(pair, other) ? 1 : 0, message.ts)
      if (count !== undefined) counts = [...counts, count]
    }
    return counts
  }

  take(message: GuardMessage): void {
    for (const other of partnersOf(message)) {
      const pair = pairOf(message.from, other)
      this.add(pair, this.#isTurn(pair, other) ? 1 : 0, message)
    }
  }

  reasonFor({ limit }: { limit: number }): string {
    return `${limit} turns in a day and no work was finished: finish something, or let an operator decide`
  }

  #isTurn(pair: string, other: string): boolean {
    return this.windows.peek(pair)?.by === other
  }
}

/** Returns whom a message is addressed to, and the author of the message it answers. */
function partnersOf({ from, to, answers }: GuardMessage): readonly string[] {
  return othersThan(from, answers === undefined ? to : [...to, authorOf(answers)])
}
