/** Digits after the point that an amount can have. */
const places = 18

/** Adds decimal numbers exactly, as no binary fraction could. */
export class DecimalSum {
  #units = 0n

  /** @param text - digits, and at most 18 more after a point: an amount of a statement */
  add(text: string): void {
    const [whole = "", fraction = ""] = text.split(".")
    this.#units += BigInt(whole + fraction.padEnd(places, "0"))
  }

  /** Without zeros that say nothing: `0.15`, `50`. */
  toString(): string {
    const digits = this.#units.toString().padStart(places + 1, "0")
    const fraction = digits.slice(-places).replace(/0+$/, "")
    const whole = digits.slice(0, -places)
    return fraction === "" ? whole : `${whole}.${fraction}`
  }
}
