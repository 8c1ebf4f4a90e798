/** Text styles of a terminal; every one leaves the text alone when colour is off. */
export interface Paint {
  dim(text: string): string
  bold(text: string): string
  place(text: string): string
  warning(text: string): string
}

/** SGR codes (ECMA-48 §8.3.117): on, and back to normal. */
const codes = { dim: [2, 22], bold: [1, 22], place: [36, 39], warning: [33, 39] } as const

/** @param hasColor - {@link Io.hasColor} */
export function makePaint(hasColor: boolean): Paint {
  const style = ([on, off]: readonly [number, number]) =>
    hasColor ? (text: string) => `\u001b[${on}m${text}\u001b[${off}m` : (text: string) => text
  return {
    dim: style(codes.dim),
    bold: style(codes.bold),
    place: style(codes.place),
    warning: style(codes.warning),
  }
}
