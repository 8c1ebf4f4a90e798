import type { GuardLimits } from "../guard-limits.js"
import type { Layer } from "../said.js"
import { BudgetLayer } from "./budget-layer.js"
import { ConversationLayer } from "./conversation-layer.js"
import { DealsLayer } from "./deals-layer.js"
import { FloorLayer } from "./floor-layer.js"
import { HopsLayer } from "./hops-layer.js"
import { KindLayer } from "./kind-layer.js"
import { MentionsLayer } from "./mentions-layer.js"
import { PairLayer } from "./pair-layer.js"
import { SameLayer } from "./same-layer.js"
import { SlowLayer } from "./slow-layer.js"
import { WakesLayer } from "./wakes-layer.js"

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
