// A field that takes a place in bytes, to go there.

import { useState } from "preact/hooks";

// "1234", "1,234", "0x4d2" or "50%" as an offset inside of `size` bytes.
export function target(words: string, size: number): number | null {
  const plain = words.replace(/[\s,_']/g, "");
  const share = /^(\d+(?:\.\d+)?)%$/.exec(plain);
  const last = Math.max(0, size - 1);
  if (share) return Math.min(last, Math.floor((Number(share[1]) / 100) * size));
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(plain)) return null;
  return Math.min(last, Number(plain));
}

interface JumpProps {
  size: number;
  placeholder: string;
  hidden?: boolean;
  go: (offset: number) => void;
}

export function Jump({ size, placeholder, hidden, go }: JumpProps) {
  const [wrong, setWrong] = useState(false);
  return (
    <input
      class="rain-input rain-jump"
      type="text"
      placeholder={placeholder}
      hidden={hidden}
      aria-label="Go to a byte offset or a percentage"
      aria-invalid={wrong || undefined}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        const to = target(event.currentTarget.value, size);
        setWrong(to === null);
        if (to !== null) go(to);
      }}
    />
  );
}
