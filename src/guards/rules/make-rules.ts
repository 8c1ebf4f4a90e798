import type { Rule } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { BudgetRule } from "./budget.js"
import { ConversationRule } from "./conversation.js"
import { DealsRule } from "./deals.js"
import { FloorRule } from "./floor.js"
import { HopsRule } from "./hops.js"
import { KindRule } from "./kind.js"
import { MentionsRule } from "./mentions.js"
import { PairRule } from "./pair.js"
import { SameRule } from "./same.js"
import { SlowRule } from "./slow.js"
import { WakesRule } from "./wakes.js"

/** The layers, in the order in which they are asked. */
export function makeRules(limits: GuardLimits): Rule[] {
  return [
    new KindRule(),
    new HopsRule(limits),
    new PairRule(limits),
    new ConversationRule(limits),
    new SlowRule(limits),
    new SameRule(limits),
    new FloorRule(limits),
    new MentionsRule(limits),
    new WakesRule(limits),
    new BudgetRule(limits),
    new DealsRule(limits),
  ]
}
