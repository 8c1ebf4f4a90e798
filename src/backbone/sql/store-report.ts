/** What a check of a store found. */
export interface StoreReport {
  readonly isWhole: boolean
  readonly logs: number
  readonly entries: number
  readonly rows: number
  /** What is wrong, at most {@link maxFaults} of it. */
  readonly faults: readonly string[]
}

/** Faults a report names at most. */
export const maxFaults = 20

/** Bytes of a store before and after it was compacted. */
export interface StoreSize {
  readonly before: number
  readonly after: number
}

/** One thing of a store, as a line of an export. */
export type StoreLine =
  | {
      readonly kind: "entry"
      readonly family: string
      readonly key: string
      readonly seq: number
      readonly ts: number
      readonly value: string
    }
  | {
      readonly kind: "row"
      readonly table: string
      readonly key: string
      readonly revision: number
      readonly value: string
    }
