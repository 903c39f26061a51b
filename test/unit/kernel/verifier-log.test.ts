import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeVerifierLog } from '#src/kernel/verifier-log.js'

const reasonOf = (log: string) => describeVerifierLog(log)?.split('; its log ends with')[0]

test('the complaint with the instruction before it, then the end of the log', () => {
  const log = `0: R1=ctx() R10=fp0
0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2=pkt(r=0)
1: (71) r0 = *(u8 *)(r2 +0)
invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)
R2 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`
  assert.equal(
    describeVerifierLog(log),
    `the verifier: invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0), at 1: (71) r0 = *(u8 *)(r2 +0); its log ends with\n${log.trimEnd()}`,
  )
})

test('the last instruction counts, of all paths that were walked', () => {
  const log = `func#0 @0
0: R1=ctx() R10=fp0
; int prog(struct xdp_md *ctx)
0: (b7) r0 = 1                        ; R0=1
1: (15) if r0 == 0x1 goto pc+1
mark_precise: frame0: last_idx 1 first_idx 0 subseq_idx -1
mark_precise: frame0: regs=r0 stack= before 0: (b7) r0 = 1
3: R0=1 R1=ctx() R10=fp0
3: (95) exit

from 1 to 2: R0=1 R1=ctx() R10=fp0
2: (79) r0 = *(u64 *)(r9 +0)
R9 !read_ok
verification time 40 usec
stack depth 0
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0`
  assert.equal(reasonOf(log), 'the verifier: R9 !read_ok, at 2: (79) r0 = *(u64 *)(r9 +0)')
})

test('a complaint before the first instruction', () => {
  assert.equal(reasonOf('jump out of range from insn 0 to 9\nprocessed 0 insns (limit 1000000)'), 'the verifier: jump out of range from insn 0 to 9')
  assert.equal(reasonOf('BPF program is too large. Processed 1000001 insn'), 'the verifier: BPF program is too large. Processed 1000001 insn')
})

test('only the last lines of a long log', () => {
  const log = [...Array.from({ length: 500 }, (_, i) => `${i}: (b7) r0 = ${i}`), 'R1 !read_ok', 'processed 500 insns'].join('\n')
  const lines = (describeVerifierLog(log) ?? '').split('\n')
  assert.equal(lines.length, 13)
  assert.equal(lines[0], 'the verifier: R1 !read_ok, at 499: (b7) r0 = 499; its log ends with')
  assert.equal(lines.at(-1), 'processed 500 insns')
})

test('a log without a complaint, and none at all', () => {
  assert.equal(describeVerifierLog('0: (b7) r0 = 0\nprocessed 1 insns'), 'the verifier’s log ends with\n0: (b7) r0 = 0\nprocessed 1 insns')
  assert.equal(describeVerifierLog(''), undefined)
  assert.equal(describeVerifierLog('\n  \n'), undefined)
})
