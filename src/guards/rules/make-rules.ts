import type { Layer } from "../guard-message.js"
import type { GuardLimits } from "../limits.js"
import { BudgetLayer } from "./budget.js"
import { ConversationLayer } from "./conversation.js"
import { DealsLayer } from "./deals.js"
import { FloorLayer } from "./floor.js"
import { HopsLayer } from "./hops.js"
import { KindLayer } from "./kind.js"
import { MentionsLayer } from "./mentions.js"
import { PairLayer } from "./pair.js"
import { SameLayer } from "./same.js"
import { SlowLayer } from "./slow.js"
import { WakesLayer } from "./wakes.js"

/** The layers, in the order in which they are asked. */
export function makeLayers(limits: GuardLimits): Layer[] {
  return [
    new KindLayer(),
    new HopsLayer(limits),
    new PairLayer(limits),
    new ConversationLayer(limits),
    new SlowLayer(limits),
    new SameLayer(limits),
    new FloorLayer(limits),
    new MentionsLayer(limits),
    new WakesLayer(limits),
    new BudgetLayer(limits),
    new DealsLayer(limits),
  ]
}
