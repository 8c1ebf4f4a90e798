/** Signs of the targets that the words of other programs mean. */
const signs: Readonly<Record<string, string>> = {
  msg: "#",
  dm: "@",
  ask: "+",
  anycast: "+",
  "--channel": "#",
}

/**
 * Rewrites how other programs say whom a message goes to: `dm bob hi`, `anycast reviewer hi`, and `send` followed by `msg
 * general hi`, `dm bob hi`, `ask reviewer hi` or `--channel general hi`. Everything else stays as it is.
 */
export function respell(argv: readonly string[]): readonly string[] {
  const [first = "", second = "", third = ""] = argv
  if (first === "send" && Object.hasOwn(signs, second)) return withTarget(argv, signs[second], third, 3)
  if (first === "dm" || first === "anycast") return withTarget(argv, signs[first], second, 2)
  return argv
}

function withTarget(
  argv: readonly string[],
  sign: string | undefined,
  name: string,
  used: number,
): readonly string[] {
  if (sign === undefined || name === "" || name.startsWith("-") || argv.length <= used) return argv
  const isOther = /^[#@+]/.test(name) && !name.startsWith(sign)
  const target = isOther && sign === "@" ? name : `${sign}${name.replace(/^[#@+]/, "")}`
  return ["send", target, ...argv.slice(used)]
}
