"""The official TypeScript client: programs for Node.js, and what starts them."""
