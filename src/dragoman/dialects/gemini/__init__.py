"""Gemini: generateContent of the Gemini API (AI Studio) and of Vertex AI, in its own language."""
