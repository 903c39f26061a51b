/** What the kernel's verifier says of a program that it refuses. */

/** Lines of the log's end that go into an error. */
const TAIL_LINES = 12
const INSTRUCTION = /^\d+: \([0-9a-f]{2}\) /
/** Registers after a jump or at the start, source lines, the account of precision, and the final count: no complaints. */
const NO_COMPLAINT = /^((from \d+ to )?\d+: R|;|func#|mark_precise|last_idx|regs=|parent |processed |verification time|stack depth|live regs|arg#)/

/** The complaint, the instruction that it is about, and the end of the log; undefined for an empty log. */
export function describeVerifierLog(log: string): string | undefined {
  const lines = log
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
  if (lines.length === 0) return undefined
  // The verifier stops at the first instruction that it refuses, so that one is the last in the log.
  const at = lines.findLastIndex((line) => INSTRUCTION.test(line))
  const complaint = lines.slice(at + 1).find((line) => !NO_COMPLAINT.test(line))
  const tail = lines.slice(-TAIL_LINES).join('\n')
  if (complaint === undefined) return `the verifier’s log ends with\n${tail}`
  // What the verifier knows of the registers stands behind the instruction.
  const instruction = lines[at]?.replace(/\s+; R\d.*$/, '')
  return `the verifier: ${complaint}${instruction === undefined ? '' : `, at ${instruction}`}; its log ends with\n${tail}`
}
