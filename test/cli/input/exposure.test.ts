import { expect, it } from "vitest"
import { exposureNote } from "../../../src/cli/input/serve-options.js"

it.each([
  ["127.0.0.1", false, false, undefined],
  ["127.9.9.9", false, false, undefined],
  ["localhost", false, false, undefined],
  ["::1", false, false, undefined],
  ["0.0.0.0", true, true, undefined],
  ["0.0.0.0", false, true, "--closed"],
  ["10.0.0.4", true, false, "--tls-cert"],
  ["::", false, false, "--closed; nothing is encrypted"],
  ["localhost.example.org", false, false, "--closed"],
])("a relay on %s, closed %s, with TLS %s, gets the remark %s", (host, isClosed, hasTls, remark) => {
  const note = exposureNote(host, isClosed, hasTls)
  if (remark === undefined) expect(note).toBeUndefined()
  else expect(note).toContain(remark)
})
