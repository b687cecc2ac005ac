/* Charts: Apache ECharts, only the kinds that the product draws. Pages with a chart load this beside app.js. */
import "./charts/page.js";
