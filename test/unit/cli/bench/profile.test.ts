import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProfile } from '#src/cli/bench/profile.js'

const REPORT = `# To display the perf.data header info, please use --header/--header-only options.
#
# Overhead;Symbol                                   ;Shared Object                      ;IPC   [IPC Coverage]
  7.10%  ;[k] veth_xdp_rcv.constprop.0             ;[veth]                             ;-      -
 21.58%  ;[k] _raw_spin_lock                       ;[kernel.kallsyms]                  ;-      -
  9.99%  ;[.] Builtins_InterpreterEntryTrampoline  ;node                               ;-      -
  1.00%  ;[k] memcpy_orig                          ;[kernel.vmlinux]
`

test('parseProfile takes rows of the kernel, highest first', () => {
  assert.deepEqual(parseProfile(REPORT), [
    { percent: 21.58, symbol: '_raw_spin_lock', module: 'kernel' },
    { percent: 7.1, symbol: 'veth_xdp_rcv.constprop.0', module: 'veth' },
    { percent: 1, symbol: 'memcpy_orig', module: 'kernel' },
  ])
  assert.deepEqual(parseProfile(''), [])
})
